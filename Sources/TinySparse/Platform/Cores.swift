// SPDX-License-Identifier: Apache-2.0

/// Cores that this process may use: what taskset or a cpuset has left of the machine, then cut to the
/// quota of its control groups, if they have one, rounded up.
package let availableCores: Int = {
    var cores = allowedCores() ?? Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))
    if let quota = ControlGroups().cores, quota < Double(cores) { cores = Int(quota.rounded(.up)) }
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
