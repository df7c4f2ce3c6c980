// SPDX-License-Identifier: Apache-2.0

import TinyRuntime
import XCTest

/// One thread or all, by what passes took.
final class ThreadChoiceTests: XCTestCase {
    /// Runs `passes` and returns for each whether it was alone.
    private func choices(
        _ choice: inout ThreadChoice, _ passes: Int, alone: (Int) -> Int, together: (Int) -> Int
    ) -> [Bool] {
        (0..<passes).map { pass in
            let isAlone = choice.isAlone
            choice.passed(nanoseconds: isAlone ? alone(pass) : together(pass))
            return isAlone
        }
    }

    func testTheFasterWayIsKept() {
        for (alone, together) in [(100_000, 150_000), (150_000, 100_000)] {
            var choice = ThreadChoice()
            let made = choices(&choice, 640, alone: { _ in alone }, together: { _ in together })
            let wanted = alone < together
            // All but the tries: two of 64 passes, after the first 64.
            XCTAssertEqual(made[64...].filter { $0 == wanted }.count, 640 - 64 - 9 * 2)
            XCTAssertEqual(made[10..<64].filter { $0 == wanted }.count, 54)
        }
    }

    func testLongPassesTryNothing() {
        var choice = ThreadChoice()
        let made = choices(&choice, 640, alone: { _ in 1 }, together: { _ in 1_000_001 })
        XCTAssertEqual(made.filter { $0 }.count, 0)
    }

    func testItChangesWhenTheMachineDoes() {
        var choice = ThreadChoice()
        _ = choices(&choice, 640, alone: { _ in 100_000 }, together: { _ in 80_000 })
        // Another program takes the second core.
        let made = choices(&choice, 640, alone: { _ in 100_000 }, together: { _ in 200_000 })
        XCTAssertGreaterThan(made[64...].filter { $0 }.count, 540)
    }

    /// A thread that loses its core for ten milliseconds says little about the passes that follow.
    func testOneLongPassChangesLittle() {
        var choice = ThreadChoice()
        let made = choices(
            &choice, 640, alone: { _ in 100_000 }, together: { $0 % 50 == 0 ? 10_000_000 : 80_000 })
        XCTAssertGreaterThan(made[64...].filter { !$0 }.count, 500)
    }
}
