// SPDX-License-Identifier: Apache-2.0

@_exported import KernelTable
import KernelsScalar
import TinyPlatform

#if arch(x86_64) && !TINYSPARSE_PORTABLE
import KernelsAVX2
import KernelsAVX512
import KernelsAVXVNNI
import KernelsSSE41
#elseif arch(arm64) && !TINYSPARSE_PORTABLE
import KernelsNEON
import KernelsNEONDot
import KernelsNEONMatrix
#endif

/// Why the kernels could not be chosen.
package enum KernelError: Error, CustomStringConvertible {
    case unknown(String, available: [String])

    package var description: String {
        switch self {
        case .unknown(let name, let available):
            "unknown kernel set \"\(name)\"; this build has on this CPU: \(available.joined(separator: ", "))"
        }
    }
}

/// The kernel sets, and the one place where one is picked.
package enum Kernels {
    /// The names of all sets, whatever this build has and this CPU can run.
    package static let names = ["avx512", "avxvnni", "avx2", "sse41", "i8mm", "neondot", "neon", "scalar"]

    /// Every set that this build has and this CPU can run, the fastest first.
    package static let available: [KernelTable] = {
        var sets: [KernelTable] = []
        #if arch(x86_64) && !TINYSPARSE_PORTABLE
        if CPU.hasAVX512VNNI { sets.append(KernelsAVX512.kernels()) }
        if CPU.hasAVXVNNI { sets.append(KernelsAVXVNNI.kernels()) }
        if CPU.hasAVX2 { sets.append(KernelsAVX2.kernels()) }
        if CPU.hasSSE41 { sets.append(KernelsSSE41.kernels()) }
        #elseif arch(arm64) && !TINYSPARSE_PORTABLE
        if CPU.hasDotProduct {
            let dot = KernelsNEONDot.kernels()
            if CPU.hasMatrixProducts { sets.append(KernelsNEONMatrix.kernels(over: dot)) }
            sets.append(dot)
        }
        sets.append(KernelsNEON.kernels())
        #endif
        sets.append(KernelsScalar.kernels())
        return sets
    }()

    /// The set of that name.
    package static func named(_ name: String) throws(KernelError) -> KernelTable {
        if let set = available.first(where: { $0.name == name }) { return set }
        throw .unknown(name, available: available.map { $0.name })
    }

    /// The fastest set, or the one that the environment variable TINYSPARSE_KERNELS names.
    package static func best() throws(KernelError) -> KernelTable {
        guard let forced = getenv("TINYSPARSE_KERNELS") else { return available[0] }
        return try named(String(cString: forced))
    }
}
