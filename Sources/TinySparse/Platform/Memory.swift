// SPDX-License-Identifier: Apache-2.0

/// Limits of this process's memory now.
package struct MemoryLimits {
    /// Bytes until its control groups end the process (`memory.max`, `memory.limit_in_bytes`); nil without a limit.
    package var group: Int?
    /// Bytes of addresses until the system refuses them (`RLIMIT_AS`, `ulimit -v`); nil without a limit.
    package var addressSpace: Int?

    package init(group: Int? = nil, addressSpace: Int? = nil) {
        (self.group, self.addressSpace) = (group, addressSpace)
    }

    /// Those of now, as /proc and /sys tell them; none where there is no /proc.
    package static func now() -> MemoryLimits {
        MemoryLimits(group: ControlGroups().freeMemory, addressSpace: freeAddressSpace())
    }

    private static func freeAddressSpace() -> Int? {
        let name = "Max address space"
        let line = contents("/proc/self/limits").split(separator: "\n").first { $0.hasPrefix(name) }
        guard let limit = line?.dropFirst(name.utf8.count).split(separator: " ").first.flatMap({ Int($0) }),
            let used = kibibytes("VmSize:", in: "/proc/self/status")
        else { return nil }
        return max(limit - used, 0)
    }
}

/// Bytes that could be had now without pushing anything out and without meeting a limit; 0 where there is no /proc.
package func freeMemory() -> Int {
    let limits = MemoryLimits.now()
    let free = kibibytes("MemAvailable:", in: "/proc/meminfo") ?? 0
    return min(free, limits.group ?? .max, limits.addressSpace ?? .max)
}

/// A size that a file of the system gives in KiB, in bytes.
private func kibibytes(_ name: String, in path: String) -> Int? {
    let line = contents(path).split(separator: "\n").first { $0.hasPrefix(name) }
    return line?.split(separator: " ").dropFirst().first.flatMap { Int($0) }.map { $0 << 10 }
}

/// The beginning of a small file of the system; empty if it is not there.
package func contents(_ path: String) -> String {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return "" }
    defer { close(descriptor) }
    return withUnsafeTemporaryAllocation(byteCount: 8192, alignment: 1) { buffer in
        let count = read(descriptor, buffer.baseAddress!, buffer.count)
        return String(decoding: buffer[..<max(count, 0)], as: UTF8.self)
    }
}
