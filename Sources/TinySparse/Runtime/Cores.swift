#if arch(x86_64)
import _Builtin_intrinsics.intel
#endif
#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// Cores that this process may use: what taskset or a cpuset has left of the machine, then cut to the
/// quota of its control group (cpu.max), if it has one.
public let availableCores: Int = {
    var set = cpu_set_t()
    var cores = 0
    if sched_getaffinity(0, MemoryLayout<cpu_set_t>.size, &set) == 0 {
        cores = withUnsafeBytes(of: &set) { $0.reduce(0) { $0 + $1.nonzeroBitCount } }
    }
    if cores == 0 { cores = sysconf(Int32(_SC_NPROCESSORS_ONLN)) }
    if let quota = controlGroupQuota() { cores = min(cores, quota) }
    return max(cores, 1)
}()

/// Whole cores in the quota of a cgroup v2, rounded up; nil if there is none.
private func controlGroupQuota() -> Int? {
    let descriptor = open("/sys/fs/cgroup/cpu.max", O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    let text = withUnsafeTemporaryAllocation(byteCount: 64, alignment: 1) { buffer in
        let count = read(descriptor, buffer.baseAddress!, buffer.count)
        return String(decoding: buffer[..<max(count, 0)], as: UTF8.self)
    }
    let fields = text.split { $0 == " " || $0 == "\n" }
    guard fields.count == 2, let quota = Int(fields[0]), let period = Int(fields[1]), period > 0 else {
        return nil
    }
    return max((quota + period - 1) / period, 1)
}

/// One turn of a spinning wait: a pause of the pipeline, and now and then the core is offered to
/// others, so that more threads than cores do no harm.
@inline(__always)
func pause(_ turns: inout Int) {
    turns &+= 1
    if turns & 0xFF == 0 {
        sched_yield()
        return
    }
    #if arch(x86_64)
    _mm_pause()
    #endif
}
