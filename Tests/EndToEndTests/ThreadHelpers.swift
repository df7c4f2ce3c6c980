// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// Counters that any thread may add to.
final class Counters: Sendable {
    private let counts: Mutex<[Int]>

    init(_ count: Int) { counts = Mutex([Int](repeating: 0, count: count)) }

    func add(_ index: Int) { counts.withLock { $0[index] += 1 } }
    var values: [Int] { counts.withLock { $0 } }
}

/// What threads came to, or the first error of one.
final class Results<Value: Sendable>: Sendable {
    private let values: Mutex<[Result<Value, any Error>?]>

    init(_ count: Int) { values = Mutex([Result<Value, any Error>?](repeating: nil, count: count)) }

    func set(_ index: Int, _ body: () throws -> Value) {
        let result = Result { try body() }
        values.withLock { $0[index] = result }
    }

    func all() throws -> [Value] { try values.withLock { try $0.map { try $0!.get() } } }
}
