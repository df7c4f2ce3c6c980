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
        /// Where the role's rows are in a tensor of several roles; nil for a tensor of its own.
        var fused: FusedRows?
        var orientation = Orientation.outputsFirst
        /// Whether it holds all experts of a mixture, which are tensors of their own if `@` in the name stands for their
        /// number, and one tensor otherwise; and the shared expert's name.
        var isOfExperts = false
        var shared: String?

        init(
            _ name: String? = nil, skippedRows: Int = 0, fused: FusedRows? = nil,
            orientation: Orientation = .outputsFirst
        ) {
            self.name = name
            self.skippedRows = skippedRows
            self.fused = fused
            self.orientation = orientation
        }

        init(stringLiteral name: String) { self.name = name }

        /// The matrices of a mixture's experts.
        static func experts(_ name: String, shared: String? = nil) -> Slot {
            var slot = Slot(name)
            (slot.isOfExperts, slot.shared) = (true, shared)
            return slot
        }
    }

    /// How a matrix lies in a checkpoint: `[outputs, inputs]`, `[inputs, outputs]`, or as its shape shows.
    enum Orientation { case outputsFirst, inputsFirst, byShape }

    /// How a tensor holds the rows of several roles.
    enum FusedRows {
        /// One role's after another's.
        case stacked([TensorRole])
        /// For each key and value head: the queries that share it, head by head, its key, its value.
        case byKeyValueHead

        /// The rows of queries, keys and values in this order.
        static let queryKeyValue = stacked([.query, .key, .value])
    }

    /// Names that begin with the first of these may all begin with one of the others instead.
    let prefixes: [String]
    /// The one of `prefixes` that a checkpoint has.
    private(set) var prefix: String
    /// Roles without a slot have their native names.
    var slots: [TensorRole: Slot]
    /// Whether rotary pairs are the rows (2i, 2i + 1) of a head, and not (i, i + d/2) as in native files.
    let hasInterleavedPairs: Bool
    /// What is added to the weights of norms, which a checkpoint may store minus one.
    let normAddend: Float
    /// Endings of the names of tensors that are not needed: derived from settings.
    let derived: [String]

    init(
        prefixes: [String] = [], slots: [TensorRole: Slot] = [:], hasInterleavedPairs: Bool = false,
        normAddend: Float = 0, derived: [String] = []
    ) {
        self.prefixes = prefixes
        self.slots = slots
        self.hasInterleavedPairs = hasInterleavedPairs
        self.normAddend = normAddend
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

    /// The same with other sources of some roles.
    func with(_ slots: [TensorRole: Slot]) -> TensorMap {
        var map = self
        for (role, slot) in slots { map.slots[role] = slot }
        return map
    }

    /// The checkpoint's name of a tensor.
    func name(of tensor: TensorID) -> String {
        guard let pattern = slots[tensor.role]?.name else { return tensor.name }
        return name(pattern, tensor, expert: nil)
    }

    /// The checkpoint's names of the matrices that hold the experts of a mixture, the shared one last.
    func names(ofExperts tensor: TensorID, _ experts: Experts) -> [String] {
        guard let slot = slots[tensor.role], let pattern = slot.name else { return [] }
        let names =
            pattern.contains("@")
            ? (0..<experts.count).map { name(pattern, tensor, expert: $0) } : [name(pattern, tensor, expert: nil)]
        return names + (slot.shared.map { [name($0, tensor, expert: nil)] } ?? [])
    }

    private func name(_ pattern: String, _ tensor: TensorID, expert: Int?) -> String {
        var name = ""
        for character in pattern {
            if character == "#", let layer = tensor.layer {
                name += "\(layer)"
            } else if character == "@", let expert {
                name += "\(expert)"
            } else {
                name.append(character)
            }
        }
        if let usual = prefixes.first, name.hasPrefix(usual) { name = prefix + name.dropFirst(usual.count) }
        return name + (tensor.isBias ? ".bias" : ".weight")
    }
}

extension TensorMap.FusedRows {
    /// Rows of the whole tensor.
    func count(_ config: ModelConfig) -> Int {
        switch self {
        case .stacked(let roles): roles.reduce(0) { $0 + config.rows(of: $1) }
        case .byKeyValueHead: config.dQuery + 2 * config.dKV
        }
    }

    /// The row of the whole tensor that is a role's row r.
    func row(_ r: Int, of role: TensorRole, _ config: ModelConfig) -> Int {
        switch self {
        case .stacked(let roles): return roles.prefix { $0 != role }.reduce(r) { $0 + config.rows(of: $1) }
        case .byKeyValueHead:
            let sharing = config.nHeads / config.nKVHeads
            let (head, inHead) = r.quotientAndRemainder(dividingBy: config.headDim)
            let place =
                switch role {
                case .query: head / sharing * (sharing + 2) + head % sharing
                case .key: head * (sharing + 2) + sharing
                default: head * (sharing + 2) + sharing + 1
                }
            return place * config.headDim + inHead
        }
    }
}

extension ModelConfig {
    /// Rows of a matrix that may be fused with others.
    fileprivate func rows(of role: TensorRole) -> Int {
        switch role {
        case .query: dQuery
        case .key, .value: dKV
        default: dFF
        }
    }
}
