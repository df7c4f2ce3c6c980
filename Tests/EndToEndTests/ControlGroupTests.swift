// SPDX-License-Identifier: Apache-2.0

import Foundation
import TinyPlatform
import XCTest

/// Limits that control groups set: as they are read, and as the executable keeps them where a group can be made here.
final class ControlGroupTests: CommandLineTestCase {
    private let directory = TemporaryDirectory()

    private func write(_ files: [String: String]) throws {
        for (path, text) in files {
            let url = URL(fileURLWithPath: directory.path + "/" + path)
            try FileManager.default.createDirectory(
                at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(text.utf8).write(to: url)
        }
    }

    func testSmallestOfTheGroupsAboveCounts() throws {
        try write([
            "cpu.max": "max 100000\n",
            "memory.max": "max\n",
            "a/cpu.max": "150000 100000\n",
            "a/memory.max": "1000000\n",
            "a/memory.current": "300000\n",
            "a/memory.stat": "anon 100000\ninactive_file 150000\nactive_file 50000\n",
            "a/b/cpu.max": "400000 100000\n",
            "a/b/memory.max": "max\n",
            "a/b/memory.current": "300000\n",
        ])
        let groups = ControlGroups(root: directory.path, membership: "0::/a/b\n")
        XCTAssertEqual(groups.cores, 1.5)
        XCTAssertEqual(groups.freeMemory, 900_000)
        let above = ControlGroups(root: directory.path, membership: "0::/\n")
        XCTAssertNil(above.cores)
        XCTAssertNil(above.freeMemory)
    }

    func testVersion1() throws {
        try write([
            "cpu/g/cpu.cfs_quota_us": "50000\n",
            "cpu/g/cpu.cfs_period_us": "100000\n",
            "cpu/cpu.cfs_quota_us": "-1\n",
            "cpu/cpu.cfs_period_us": "100000\n",
            "memory/memory.limit_in_bytes": "9223372036854771712\n",
            "memory/memory.usage_in_bytes": "123\n",
            "memory/m/memory.limit_in_bytes": "1000000\n",
            "memory/m/memory.usage_in_bytes": "1200000\n",
            "memory/m/memory.stat": "inactive_file 5\ntotal_inactive_file 100000\ntotal_active_file 300000\n",
        ])
        let membership = "4:memory:/m\n3:cpuacct,cpu:/g\n0::/\n"
        let groups = ControlGroups(root: directory.path, membership: membership)
        XCTAssertEqual(groups.cores, 0.5)
        XCTAssertEqual(groups.freeMemory, 200_000)
        // In a container the paths can be those of the host: what is mounted counts.
        let outside = ControlGroups(root: directory.path + "/cpu/..", membership: "4:memory:/docker/1/2\n")
        XCTAssertNil(outside.freeMemory)
        try write(["memory/memory.limit_in_bytes": "1000\n"])
        XCTAssertEqual(ControlGroups(root: directory.path, membership: "4:memory:/docker/1\n").freeMemory, 877)
    }

    func testWhatIsNoNumberIsNoLimit() throws {
        for text in ["", "x", "-5 100000", "100000 0", "99999999999999999999 100000", "1 2 3", "\u{0}\u{ff}"] {
            try write(["cpu.max": text, "memory.max": text, "memory.current": text])
            let groups = ControlGroups(root: directory.path, membership: "0::/\n:\n\n5:cpu\n0::/../..//\n")
            XCTAssertNil(groups.cores, text)
            XCTAssertNil(groups.freeMemory, text)
        }
    }

    /// A group of version 1 or 2, for a shell that puts itself into it.
    private func group(_ controller: String, _ limits: [String: String]) throws -> String {
        let name = "tinysparse-test-\(getpid())"
        for parent in ["/sys/fs/cgroup/\(controller)", "/sys/fs/cgroup"] {
            let folder = parent + "/" + name
            guard mkdir(folder, 0o755) == 0 else { continue }
            let written = limits.filter { file, text in
                guard let handle = FileHandle(forWritingAtPath: folder + "/" + file) else { return false }
                return (try? handle.write(contentsOf: Data(text.utf8))) != nil
            }
            addTeardownBlock { rmdir(folder) }
            if !written.isEmpty, FileManager.default.isWritableFile(atPath: folder + "/cgroup.procs") { return folder }
        }
        throw XCTSkip("SKIPPED: no control group can be made here")
    }

    private func inside(_ group: String, _ command: String) throws -> Outcome {
        let script = "echo $$ >\"$2/cgroup.procs\" && exec \(command)"
        return try run("/bin/sh", ["-c", script, Self.executable, Self.shipped, group])
    }

    private static let shipped = packageFolder.appendingPathComponent("models/tinysparse-fairy.gguf").path

    func testMemoryOfAGroupIsKept() throws {
        let size = 40 << 20
        let group = try group("memory", ["memory.limit_in_bytes": "\(size)", "memory.max": "\(size)"])
        // Without a context asked for, one that fits.
        let text = try inside(group, "\"$0\" run -m \"$1\" -n 40 -t 2 --greedy hello")
        XCTAssertEqual(text.status, 0, text.errors)
        XCTAssertEqual(text.output, try tinysparse("run", "-m", Self.shipped, "-n", "40", "--greedy", "hello").output)
        // What was asked for and does not fit is refused, before the system would end the process.
        let many = try inside(group, "\"$0\" batch -m \"$1\" -j 64 -c 512 --cache-tokens 32768 </dev/null")
        XCTAssertEqual(many.status, 1, many.errors)
        XCTAssert(many.errors.contains("a limit of the system"), many.errors)
    }

    func testQuotaOfAGroupLimitsThreads() throws {
        let group = try group(
            "cpu", ["cpu.cfs_quota_us": "50000", "cpu.max": "50000 100000"])
        let bench = try inside(group, "\"$0\" bench -m \"$1\" --prompt-tokens 4 --generate 4 -r 1")
        XCTAssertEqual(bench.status, 0, bench.errors)
        XCTAssert(bench.output.contains(", 1 threads\n"), bench.output)
    }
}
