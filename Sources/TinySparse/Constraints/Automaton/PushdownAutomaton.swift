// SPDX-License-Identifier: Apache-2.0

/// The ways a text can be read by a transition network, followed all at once, byte by byte.
///
/// A way is a stack: the node that reads the next byte, on those at which the calling rules go on. Stacks are linked
/// frames, each kept once, so that equal stacks are equal numbers; a state is a sorted set of stacks. What a state becomes
/// with a byte is computed when it is first asked for, and remembered: a deterministic automaton whose states are made
/// as a text needs them.
///
/// Belongs to one thread at a time.
final class PushdownAutomaton {
    /// The number of a state; valid until `forget`.
    typealias State = Int32

    /// The state that no text leaves: what was read is wrong.
    static let dead: State = -1
    private static let unknown: State = -2
    /// The frame below all others, and the stack of a text that is complete.
    private static let bottom: Int32 = 0

    private struct Frame {
        let node: Int32
        let parent: Int32
    }

    private let network: TransitionNetwork
    private let classes: Int
    private var frames: [Frame] = []
    private var frameNumbers: [UInt64: Int32] = [:]
    /// Frames from which on it is time to forget: more where a single state needs many.
    private var mostFrames = ConstraintLimits.keptFrames
    private var states: [[Int32]] = []
    private var stateNumbers: [[Int32]: State] = [:]
    /// By state and class of byte.
    private var transitions: [State] = []

    // What a step that reads nothing leads to, and what was seen on the way.
    private var pending: [Frame] = []
    private var seen: Set<UInt64> = []
    private var stacks: [Int32] = []

    init(_ network: TransitionNetwork) {
        self.network = network
        classes = network.byteOfClass.count
        clear()
    }

    private func clear() {
        frames = [Frame(node: -1, parent: -1)]
        frameNumbers = [:]
        states = []
        stateNumbers = [:]
        transitions = []
    }

    /// The state before a text.
    /// - Throws: `ConstraintError` for a grammar that is too ambiguous.
    func start() throws(ConstraintError) -> State {
        try follow(network.entries[0], Self.bottom)
        return try closeState()
    }

    /// Whether a text can end in this state.
    func accepts(_ state: State) -> Bool { state >= 0 && states[Int(state)].first == Self.bottom }

    /// The state after another byte. O(1) if it was computed before.
    /// - Throws: `ConstraintError` for a grammar that is too ambiguous.
    @inline(__always)
    func next(_ state: State, _ byte: UInt8) throws(ConstraintError) -> State {
        guard state >= 0 else { return Self.dead }
        let byteClass = Int(network.classOfByte[Int(byte)])
        let known = transitions[Int(state) * classes + byteClass]
        return known != Self.unknown ? known : try step(state, byteClass)
    }

    /// Whether any byte can follow.
    func goesOn(_ state: State) -> Bool { state >= 0 && states[Int(state)].contains { $0 != Self.bottom } }

    // MARK: - Making states

    private func step(_ state: State, _ byteClass: Int) throws(ConstraintError) -> State {
        let byte = network.byteOfClass[byteClass]
        for stack in states[Int(state)] where stack != Self.bottom {
            let frame = frames[Int(stack)]
            guard case .bytes(let edges) = network.nodes[Int(frame.node)] else { continue }
            for edge in edges {
                let edge = network.edges[Int(edge)]
                if edge.low <= byte, byte <= edge.high { try follow(edge.target, frame.parent) }
            }
        }
        let next = try closeState()
        transitions[Int(state) * classes + byteClass] = next
        return next
    }

    /// Adds all stacks that are reached from a node without reading.
    private func follow(_ node: Int32, _ parent: Int32) throws(ConstraintError) {
        pending.append(Frame(node: node, parent: parent))
        while let frame = pending.popLast() {
            guard seen.insert(Self.key(frame)).inserted else { continue }
            guard seen.count <= ConstraintLimits.silentSteps else { throw Self.tooAmbiguous }
            switch network.nodes[Int(frame.node)] {
            case .bytes: stacks.append(number(frame))
            case .split(let targets):
                for target in targets {
                    pending.append(Frame(node: network.targets[Int(target)], parent: frame.parent))
                }
            case .call(let rule, let next):
                // A rule after which nothing comes returns to where this one does: lists do not grow the stack.
                let parent =
                    next == TransitionNetwork.end ? frame.parent : number(Frame(node: next, parent: frame.parent))
                pending.append(Frame(node: network.entries[Int(rule)], parent: parent))
            case .end:
                if frame.parent == Self.bottom {
                    stacks.append(Self.bottom)
                } else {
                    pending.append(frames[Int(frame.parent)])
                }
            }
        }
    }

    /// The state of the stacks collected.
    private func closeState() throws(ConstraintError) -> State {
        defer {
            stacks.removeAll(keepingCapacity: true)
            seen.removeAll(keepingCapacity: true)
        }
        guard !stacks.isEmpty else { return Self.dead }
        guard stacks.count <= ConstraintLimits.stacks, states.count < ConstraintLimits.states else {
            throw Self.tooAmbiguous
        }
        stacks.sort()
        if let known = stateNumbers[stacks] { return known }
        let state = State(states.count)
        states.append(stacks)
        stateNumbers[stacks] = state
        transitions += repeatElement(Self.unknown, count: classes)
        return state
    }

    private func number(_ frame: Frame) -> Int32 {
        let key = Self.key(frame)
        if let known = frameNumbers[key] { return known }
        let number = Int32(frames.count)
        frames.append(frame)
        frameNumbers[key] = number
        return number
    }

    private static func key(_ frame: Frame) -> UInt64 { UInt64(frame.node) << 32 | UInt64(frame.parent) }

    private static var tooAmbiguous: ConstraintError {
        ConstraintError(
            .everywhere,
            "too ambiguous: a text can be read in more than \(ConstraintLimits.stacks) ways at the same time; make "
                + "alternatives begin differently, and repetitions of what can be empty smaller")
    }

    // MARK: - Forgetting

    /// Whether so much is remembered that it should be forgotten.
    var isFull: Bool { states.count > ConstraintLimits.keptStates || frames.count > mostFrames }

    /// Forgets all states but one.
    /// - Returns: its new number.
    func forget(allBut state: State) throws(ConstraintError) -> State {
        guard state >= 0 else {
            clear()
            return Self.dead
        }
        let kept = states[Int(state)], old = frames
        clear()
        // A parent is older than what is on it, and its number smaller.
        var numbers: [Int32: Int32] = [Self.bottom: Self.bottom]
        for stack in kept {
            var chain: [Int32] = []
            var frame = stack
            while numbers[frame] == nil {
                chain.append(frame)
                frame = old[Int(frame)].parent
            }
            for frame in chain.reversed() {
                let (node, parent) = (old[Int(frame)].node, old[Int(frame)].parent)
                numbers[frame] = number(Frame(node: node, parent: numbers[parent] ?? Self.bottom))
            }
        }
        mostFrames = 2 * frames.count + ConstraintLimits.keptFrames
        stacks = kept.map { numbers[$0] ?? Self.bottom }
        return try closeState()
    }
}
