// SPDX-License-Identifier: Apache-2.0

import SIMDKernels
import TinyPlatform
import TinySupport

/// What a machine can do at most, measured: how fast its threads read memory and multiply bytes.
///
/// Decode reads every weight once a token, prefill multiplies every weight by every token, so their limits are these. On
/// a shared machine both drift: measure them next to what is compared with them.
package struct MachineLimits {
    /// Bytes a second that all threads together read from memory, each thread in one stream.
    package let readBytes: Double
    /// Products of two bytes, added to 32-bit sums, that all threads together compute a second.
    package let multiplyAdds: Double

    /// Memory that is read to measure: larger than caches.
    package static let sampleBytes = 256 << 20

    /// Measures for some tens of milliseconds.
    /// - Parameter memory: `sampleBytes` that were written before, in huge pages where there are some.
    package init(_ session: Session, _ memory: MappedFile) {
        let (pool, probes) = (session.pool, session.kernels.limits)
        let share = memory.size / pool.threads
        var checks = [UInt64](repeating: 0, count: pool.threads)
        func seconds(_ work: (_ thread: Int) -> UInt64) -> Double {
            let start = Stopwatch.now
            checks.withUnsafeMutableBufferPointer { checks in
                nonisolated(unsafe) let checks = checks
                pool.run(pool.threads) { thread, _ in checks[thread] &+= work(thread) }
            }
            return Double(max(Stopwatch.now - start, 1)) * 1e-9
        }
        let read = seconds { thread in
            probes.readBytes(UnsafeRawBufferPointer(rebasing: memory.bytes[(thread * share)...].prefix(share)))
        }
        // A thread that is not there leaves its piece to another, as it does with weights.
        let turns = (1 << 30) / probes.multiplyAddsPerTurn
        let multiplied = seconds { _ in
            UInt64(truncatingIfNeeded: probes.multiplyAdds(memory.bytes.baseAddress!, turns))
        }
        readBytes = Double(share * pool.threads) / read
        multiplyAdds = Double(turns * probes.multiplyAddsPerTurn * pool.threads) / multiplied
    }

    /// Memory to measure with.
    /// - Throws: `FormatError` if there is none.
    package static func sampleMemory() throws(FormatError) -> MappedFile {
        let memory = try MappedFile(memoryNamed: "the sample of memory", size: sampleBytes)
        // Pages that were never written are all one and the same.
        for at in stride(from: 0, to: sampleBytes, by: 64) {
            memory.writable.storeBytes(
                of: UInt64(truncatingIfNeeded: at &* 0x9E37_79B9), toByteOffset: at, as: UInt64.self)
        }
        return memory
    }
}
