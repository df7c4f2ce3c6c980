// SPDX-License-Identifier: Apache-2.0

/// Cores that this process may use: what taskset or a cpuset has left of the machine, then cut to the
/// quota of its control group (cpu.max), if it has one.
package let availableCores: Int = {
    var cores = allowedCores() ?? Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))
    if let quota = controlGroupQuota() { cores = min(cores, quota) }
    return max(cores, 1)
}()

/// Set bits of the affinity mask; nil where there is no /proc.
private func allowedCores() -> Int? {
    for line in contents("/proc/self/status").split(separator: "\n") where line.hasPrefix("Cpus_allowed:") {
        let cores = line.dropFirst(13).reduce(0) { $0 + ($1.hexDigitValue ?? 0).nonzeroBitCount }
        return cores > 0 ? cores : nil
    }
    return nil
}

/// Whole cores in the quota of a cgroup v2, rounded up; nil if there is none.
private func controlGroupQuota() -> Int? {
    let fields = contents("/sys/fs/cgroup/cpu.max").split { $0 == " " || $0 == "\n" }
    guard fields.count == 2, let quota = Int(fields[0]), let period = Int(fields[1]),
        quota > 0, period > 0, quota < 1 << 40, period < 1 << 40
    else { return nil }
    return (quota + period - 1) / period
}

/// Bytes that could be had without pushing anything out; 0 where there is no /proc.
package func freeMemory() -> Int {
    for line in contents("/proc/meminfo").split(separator: "\n") where line.hasPrefix("MemAvailable:") {
        return (line.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0) << 10
    }
    return 0
}

/// The beginning of a small file of the system; empty if it is not there.
private func contents(_ path: String) -> String {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return "" }
    defer { close(descriptor) }
    return withUnsafeTemporaryAllocation(byteCount: 8192, alignment: 1) { buffer in
        let count = read(descriptor, buffer.baseAddress!, buffer.count)
        return String(decoding: buffer[..<max(count, 0)], as: UTF8.self)
    }
}
