// SPDX-License-Identifier: Apache-2.0

/// The deterministic automaton of a regular expression that reads a text from its end, see `RegularExpression`. A state
/// says of each instruction whether a match can be reached from it.
struct BackwardAutomaton: Sendable {
    private static let maximumStates = 1 << 12
    /// Of entries in the tables, and of steps to make them.
    private static let maximumSize = 1 << 22, maximumWork = 1 << 27

    /// What the forward pass does next instead of reading a character: there is no match, or it is complete.
    private static let fails: Int16 = -1, matches: Int16 = -2

    private let classes: CharacterClasses
    /// Which of the kinds of characters before a position is a class; none are told apart if nothing looks behind.
    private var kindOfClass: [Int] = []
    private var startKind = 0
    private var kinds: [UInt16] = []
    /// The state at the end of a text, by the kind of its last character.
    private var endStates: [UInt16] = []
    /// The state before a character, by the state after it, the character's class, and the kind of the one before.
    private var transitions: [UInt16] = []
    private var columns = 0
    /// For each state, and for each character read last, the one to be read next: numbers of `consume` instructions from
    /// 1, and 0 where nothing has been read yet.
    private var moves: [Int16] = []
    private var nodes = 0

    /// - Throws: `ExpressionError` if the automaton becomes too large.
    init(_ program: ExpressionProgram) throws(ExpressionError) {
        classes = try CharacterClasses(of: program.sets + program.behinds.map { $0.set })
        readKinds(program)
        columns = classes.count * kinds.count
        try explore(program)
    }

    /// A kind is which of the conditions on the character before hold.
    private mutating func readKinds(_ program: ExpressionProgram) {
        func kind(_ holds: (Int) -> Bool) -> UInt16 {
            program.behinds.indices.reduce(0) { holds($1) ? $0 | 1 << UInt16($1) : $0 }
        }
        let first = program.sets.count
        let ofClasses = classes.members.map { members in kind { members[first + $0] } }
        let atStart = kind { program.behinds[$0].countsStart }
        kinds = Array(Set(ofClasses + [atStart])).sorted()
        kindOfClass = ofClasses.map { kinds.firstIndex(of: $0) ?? 0 }
        startKind = kinds.firstIndex(of: atStart) ?? 0
    }

    // MARK: - Making the tables

    private mutating func explore(_ program: ExpressionProgram) throws(ExpressionError) {
        let evaluation = Evaluation(program)
        var states = ByteStringTable()
        var work = 0
        nodes = evaluation.nodeCount
        func number(_ reachable: [UInt8]) -> UInt16 { UInt16(states.insert(reachable).number) }
        for kind in kinds { endStates.append(number(evaluation.state(before: nil, kind: kind))) }
        var next = 0
        while next < states.count {
            work += program.instructions.count * columns
            guard states.count <= Self.maximumStates, states.count * max(columns, nodes) <= Self.maximumSize,
                work <= Self.maximumWork
            else { throw ExpressionError("it needs too large an automaton") }
            let after = Array(states.string(next))
            moves += evaluation.moves(in: after).map { $0 ?? Self.fails }
            for members in classes.members {
                for kind in kinds {
                    transitions.append(number(evaluation.state(before: (members, after), kind: kind)))
                }
            }
            next += 1
        }
    }

    /// What instructions mean, evaluated at one place of a text.
    private struct Evaluation {
        private let program: ExpressionProgram
        private let order: [Int]
        /// The instructions at which the forward pass can be: the first, and those after `consume`.
        private var places = [0]
        /// The number of each `consume`.
        private var numbers: [Int16]

        var nodeCount: Int { places.count }

        init(_ program: ExpressionProgram) {
            self.program = program
            order = program.evaluationOrder
            numbers = Array(repeating: 0, count: program.instructions.count)
            for (index, instruction) in program.instructions.enumerated() {
                guard case .consume = instruction else { continue }
                numbers[index] = Int16(places.count)
                places.append(index + 1)
            }
        }

        /// For each instruction 1 if a match can be reached from it, else 0.
        /// - Parameters:
        ///   - before: the sets that hold the character here, and the state after it; nil at the end of the text.
        ///   - kind: the conditions on the character before that hold.
        func state(before: (members: [Bool], after: [UInt8])?, kind: UInt16) -> [UInt8] {
            var reaches = Array(repeating: UInt8(0), count: program.instructions.count)
            for index in order {
                switch program.instructions[index] {
                case .match: reaches[index] = 1
                case .consume(let set):
                    if let before, before.members[set] { reaches[index] = before.after[index + 1] }
                case .branch(let first, let second): reaches[index] = reaches[first] | reaches[second]
                case .jump(let target): reaches[index] = reaches[target]
                case .ahead(let body, let isPositive):
                    reaches[index] = (reaches[body] == 1) == isPositive ? reaches[index + 1] : 0
                case .behind(let condition):
                    reaches[index] = kind >> UInt16(condition) & 1 == 1 ? reaches[index + 1] : 0
                }
            }
            return reaches
        }

        /// For each place, the number of the `consume` that is preferred, `matches`, or nil if no match can be reached.
        func moves(in reaches: [UInt8]) -> [Int16?] {
            places.map { place in
                guard reaches[place] == 1 else { return nil }
                var index = place
                while true {
                    switch program.instructions[index] {
                    case .match: return BackwardAutomaton.matches
                    case .consume: return numbers[index]
                    case .branch(let first, let second): index = reaches[first] == 1 ? first : second
                    case .jump(let target): index = target
                    case .ahead, .behind: index += 1
                    }
                }
            }
        }
    }

    // MARK: - Matching

    /// Writes the state at each character of a range, and at its end, to `states`, counted from its start.
    @inline(__always)
    func run(over text: Bytes, _ range: Range<Int>, _ states: inout [UInt16]) {
        if states.count <= range.count {
            states = Array(repeating: 0, count: max(range.count + 1, 2 * states.count))
        }
        if kinds.count == 1 { pass(text, range, &states) } else { passLookingBehind(text, range, &states) }
    }

    private func pass(_ text: Bytes, _ range: Range<Int>, _ states: inout [UInt16]) {
        let base = range.lowerBound
        states.withUnsafeMutableBufferPointer { states in
            transitions.withUnsafeBufferPointer { transitions in
                var state = endStates[0]
                states[range.count] = state
                var position = range.upperBound
                while position > base {
                    position -= 1
                    var kind = 0
                    if text[position] < 0x80 {
                        kind = classes.ofASCII(text[position])
                    } else {
                        while position > base, text[position] & 0xC0 == 0x80 { position -= 1 }
                        kind = classes.of(text.wide(position).code)
                    }
                    state = transitions[Int(state) * columns + kind]
                    states[position - base] = state
                }
            }
        }
    }

    private func passLookingBehind(_ text: Bytes, _ range: Range<Int>, _ states: inout [UInt16]) {
        let base = range.lowerBound
        /// The class of the character before `position` and where it begins; nil at the start.
        func before(_ position: Int) -> (class: Int, start: Int)? {
            guard position > base else { return nil }
            let (code, start) = text.characterBefore(position)
            return (classes.of(code), start)
        }
        func kind(_ character: (class: Int, start: Int)?) -> Int {
            character.map { kindOfClass[$0.class] } ?? startKind
        }
        var character = before(range.upperBound)
        var state = endStates[kind(character)]
        states[range.count] = state
        while let (characterClass, start) = character {
            character = before(start)
            state = transitions[Int(state) * columns + characterClass * kinds.count + kind(character)]
            states[start - base] = state
        }
    }

    /// The end of the match at `position`; nil if there is none.
    @inline(__always)
    func matchEnd(_ text: Bytes, _ position: Int, _ states: UnsafeBufferPointer<UInt16>, _ base: Int) -> Int? {
        moves.withUnsafeBufferPointer { moves in
            var position = position
            var node = 0
            while true {
                let move = moves[Int(states[position - base]) * nodes + node]
                if move >= 0 {
                    node = Int(move)
                    position += text.characterLength(position)
                } else {
                    return move == Self.matches ? position : nil
                }
            }
        }
    }
}
