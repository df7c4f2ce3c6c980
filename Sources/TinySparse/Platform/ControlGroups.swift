// SPDX-License-Identifier: Apache-2.0

/// What the control groups of this process allow: its own and all above it, of version 1 or 2. In a container the paths
/// that the kernel names may lie outside of what is mounted; then what is mounted counts, which is the container's.
package struct ControlGroups {
    private let groups: [ControlGroup]

    /// - Parameters:
    ///   - root: where the hierarchies are mounted.
    ///   - membership: lines of `number:controllers:path`, where version 2 has no controllers.
    package init(root: String = "/sys/fs/cgroup", membership: String = contents("/proc/self/cgroup")) {
        groups = membership.split(separator: "\n").flatMap { ControlGroup.all(root: root, line: String($0)) }
    }

    /// Cores, as a share of time: quota by period, the smallest, as the files say now. Nil without a quota.
    package var cores: Double? { groups.compactMap { $0.cores }.min() }

    /// Bytes that can still be had in memory, what the kernel can take back from files counted as free, as the files say now.
    /// Nil without a limit.
    package var freeMemory: Int? { groups.compactMap { $0.freeMemory }.min() }
}

/// A folder of a hierarchy.
private struct ControlGroup {
    let folder: String
    let isVersion2: Bool

    /// The groups that a line of the membership names, from the root of the hierarchy down.
    static func all(root: String, line: String) -> [ControlGroup] {
        let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
        guard fields.count == 3 else { return [] }
        let controllers = fields[1].split(separator: ",")
        // A controller of version 1 is found by its own name, too, where it shares a hierarchy; version 2 is mounted beside
        // those of version 1 in systems that have both.
        let mounts = controllers.isEmpty ? [root, root + "/unified"] : controllers.map { root + "/" + $0 }
        var groups: [ControlGroup] = []
        for mount in mounts {
            var folder = mount
            groups.append(ControlGroup(folder: folder, isVersion2: controllers.isEmpty))
            for name in fields[2].split(separator: "/") where name != ".." {
                folder += "/" + name
                groups.append(ControlGroup(folder: folder, isVersion2: controllers.isEmpty))
            }
        }
        return groups
    }

    var cores: Double? {
        let quota: Int?, period: Int?
        if isVersion2 {
            let fields = contents(folder + "/cpu.max").split { $0 == " " || $0 == "\n" }
            quota = fields.first.flatMap { Int($0) }
            period = fields.count == 2 ? Int(fields[1]) : nil
        } else {
            quota = number("cpu.cfs_quota_us")
            period = number("cpu.cfs_period_us")
        }
        guard let quota, let period, quota > 0, period > 0 else { return nil }
        return Double(quota) / Double(period)
    }

    var freeMemory: Int? {
        let limit = number(isVersion2 ? "memory.max" : "memory.limit_in_bytes")
        let used = number(isVersion2 ? "memory.current" : "memory.usage_in_bytes")
        // Version 1 writes a number near 2^63 for no limit.
        guard let limit, let used, limit >= 0, limit < 1 << 60, used >= 0 else { return nil }
        var files = 0
        let prefix = isVersion2 ? "" : "total_"
        for line in contents(folder + "/memory.stat").split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count == 2, fields[0] == prefix + "inactive_file" || fields[0] == prefix + "active_file",
                let bytes = Int(fields[1]), bytes >= 0, bytes <= used
            else { continue }
            files += bytes
        }
        return max(limit - max(used - files, 0), 0)
    }

    private func number(_ file: String) -> Int? {
        contents(folder + "/" + file).split(separator: "\n").first.flatMap { Int($0) }
    }
}
