// SPDX-License-Identifier: Apache-2.0

import TinySupport

/// Which matrices a native file stores in another way than as int8, in every layer. If the head is tied, LM head and
/// embedding are one.
package struct PackedRoles: Sendable, Equatable {
    /// The ways there are. The raw value is the key of a file's metadata that lists the matrices.
    package enum Storage: String, Sendable {
        /// docs/NUMERICS.md, 11.
        case fourBit = "tinysparse.four_bit"
        /// docs/NUMERICS.md, 12.
        case ternary = "tinysparse.ternary"

        /// In the order of `TensorRole`.
        fileprivate var possible: [TensorRole] {
            TensorRole.allCases.filter {
                switch self {
                case .fourBit: $0.canBeFourBit
                case .ternary: $0.canBeTernary
                }
            }
        }
    }

    private let storage: Storage
    /// In the order of `TensorRole`.
    package private(set) var roles: [TensorRole] = []

    /// None.
    package init(_ storage: Storage) { self.storage = storage }

    /// Of those that the storage is possible for, all that fulfill the condition.
    package init<E>(_ storage: Storage, where isStored: (TensorRole) throws(E) -> Bool) throws(E) {
        self.storage = storage
        for role in storage.possible where try isStored(role) { roles.append(role) }
    }

    package var isEmpty: Bool { roles.isEmpty }

    package func contains(_ role: TensorRole) -> Bool { roles.contains(role) }

    func write(to writer: inout GGUFWriter) {
        guard !isEmpty else { return }
        writer.add(storage.rawValue, of: roles)
    }

    /// Reads what a native file says; empty if it says nothing.
    /// - Throws: `FormatError` naming the key.
    init(_ storage: Storage, _ gguf: GGUF) throws(FormatError) {
        self.storage = storage
        guard let entry = gguf.entry(storage.rawValue) else { return }
        roles = try TensorRole.list(entry, in: gguf, of: storage.possible)
    }
}
