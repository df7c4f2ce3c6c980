// SPDX-License-Identifier: Apache-2.0

import TinyFormats

/// Where the tensors of our schema are in the source checkpoints of an architecture, and how they differ from ours.
struct TensorMap {
    /// The source of one role's tensors.
    struct Slot: ExpressibleByStringLiteral {
        /// Its name without ".weight" and ".bias", `#` standing for the layer; nil for the native name.
        var name: String?
        /// Rows at the beginning that a checkpoint may have and a native file has not.
        var skippedRows = 0

        init(_ name: String? = nil, skippedRows: Int = 0) {
            self.name = name
            self.skippedRows = skippedRows
        }

        init(stringLiteral name: String) { self.name = name }
    }

    /// Names that begin with the first of these may all begin with one of the others instead.
    let prefixes: [String]
    /// The one of `prefixes` that a checkpoint has.
    private(set) var prefix: String
    /// Roles without a slot have their native names.
    let slots: [TensorRole: Slot]
    /// Whether rotary pairs are the rows (2i, 2i + 1) of a head, and not (i, i + d/2) as in native files.
    let hasInterleavedPairs: Bool
    /// Endings of the names of tensors that are not needed: derived from settings.
    let derived: [String]

    init(
        prefixes: [String] = [], slots: [TensorRole: Slot] = [:], hasInterleavedPairs: Bool = false,
        derived: [String] = []
    ) {
        self.prefixes = prefixes
        self.slots = slots
        self.hasInterleavedPairs = hasInterleavedPairs
        self.derived = derived
        prefix = prefixes.first ?? ""
    }

    /// The same with the prefix of a checkpoint: the first with which the token embedding exists.
    func fitting(_ exists: (String) -> Bool) -> TensorMap {
        var map = self
        for prefix in prefixes {
            map.prefix = prefix
            if exists(map.name(of: TensorID(.tokenEmbedding))) { return map }
        }
        return self
    }

    /// The checkpoint's name of a tensor.
    func name(of tensor: TensorID) -> String {
        guard let pattern = slots[tensor.role]?.name else { return tensor.name }
        var name = ""
        for character in pattern {
            if character == "#", let layer = tensor.layer { name += "\(layer)" } else { name.append(character) }
        }
        if let usual = prefixes.first, name.hasPrefix(usual) { name = prefix + name.dropFirst(usual.count) }
        return name + (tensor.isBias ? ".bias" : ".weight")
    }
}
