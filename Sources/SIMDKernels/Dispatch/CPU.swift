// SPDX-License-Identifier: Apache-2.0

#if arch(x86_64)
import _Builtin_intrinsics.intel.cpuid

/// What the processor can do and the operating system saves, by CPUID alone: a static binary in an
/// empty root directory has no /proc to ask.
enum CPU {
    private static func leaf(_ leaf: UInt32, _ sub: UInt32) -> (a: UInt32, b: UInt32, c: UInt32, d: UInt32) {
        var r: (a: UInt32, b: UInt32, c: UInt32, d: UInt32) = (0, 0, 0, 0)
        _ = __get_cpuid_count(leaf, sub, &r.a, &r.b, &r.c, &r.d)
        return r
    }

    /// Whether the operating system saves these parts of the state (bits of XCR0): leaf 13 tells the size
    /// of the area in use, which must reach over each part.
    private static func saves(_ parts: [UInt32]) -> Bool {
        guard leaf(1, 0).c & (1 << 27) != 0 else { return false }
        let size = leaf(13, 0).b
        return parts.allSatisfy { part in
            let p = leaf(13, part)
            return p.a > 0 && p.b + p.a <= size
        }
    }

    /// SSE4.1, and SSSE3 with it: no state beyond that of every 64-bit system.
    static var hasSSE41: Bool {
        let one = leaf(1, 0).c
        return one & (1 << 19) != 0 && one & (1 << 9) != 0
    }

    /// AVX2 with FMA-era companions: F16C and BMI, as x86-64-v3 has them.
    static var hasAVX2: Bool {
        let one = leaf(1, 0).c, seven = leaf(7, 0).b
        let f16c = one & (1 << 29) != 0, fma = one & (1 << 12) != 0, movbe = one & (1 << 22) != 0
        let bmi = seven & (1 << 3) != 0 && seven & (1 << 8) != 0
        let lzcnt = leaf(0x8000_0001, 0).c & (1 << 5) != 0
        return f16c && fma && movbe && bmi && lzcnt && seven & (1 << 5) != 0 && saves([2])
    }

    /// AVX-VNNI: the dot product of AVX-512 VNNI for processors without AVX-512.
    static var hasAVXVNNI: Bool { hasAVX2 && leaf(7, 0).a >= 1 && leaf(7, 1).a & (1 << 4) != 0 }

    /// AVX-512 F, DQ, CD, BW, VL (x86-64-v4) and VNNI.
    static var hasAVX512VNNI: Bool {
        let seven = leaf(7, 0)
        let v4 = [16, 17, 28, 30, 31].allSatisfy { seven.b & (1 << $0) != 0 }
        return hasAVX2 && v4 && seven.c & (1 << 11) != 0 && saves([5, 6, 7])
    }
}
#elseif arch(arm64)
/// The C library's; Swift's Glibc module leaves it out. Two integers travel alike in both languages.
@_silgen_name("getauxval")
private func getauxval(_ type: UInt) -> UInt

/// What the kernel says that the processor can do, handed over at the program's start: a static binary in
/// an empty root directory has no /proc to ask, and the identity registers need not be readable.
enum CPU {
    /// `sdot` (AT_HWCAP, HWCAP_ASIMDDP).
    static var hasDotProduct: Bool { getauxval(16) & (1 << 20) != 0 }

    /// `smmla` (AT_HWCAP2, HWCAP2_I8MM).
    static var hasMatrixProducts: Bool { getauxval(26) & (1 << 13) != 0 }
}
#endif
