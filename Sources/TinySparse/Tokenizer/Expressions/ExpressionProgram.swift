// SPDX-License-Identifier: Apache-2.0

/// A regular expression as a nondeterministic automaton: instructions, of which one that branches names the branch to be
/// preferred first.
///
/// Source: Thompson 1968 (doi:10.1145/363347.363387). No instruction leads to itself without a character between.
struct ExpressionProgram {
    enum Instruction {
        /// The end of the expression, or of a lookahead.
        case match
        /// A character of set `set`, then the next instruction.
        case consume(set: Int)
        case branch(first: Int, second: Int)
        case jump(Int)
        /// The next instruction, if the program from `body` matches ahead, or does not.
        case ahead(body: Int, isPositive: Bool)
        /// The next instruction, if the character before is in a set of `behinds`.
        case behind(Int)
    }

    static let maximumCount = 8192

    private(set) var instructions: [Instruction] = []
    private(set) var sets: [CodePointSet] = []
    private(set) var behinds: [(set: CodePointSet, countsStart: Bool)] = []
    /// The bodies of lookaheads that are still to be written.
    private var pending: [(instruction: Int, body: ExpressionNode)] = []

    /// - Throws: `ExpressionError` for a repetition of what can be empty, and for a program that is too long.
    init(_ node: ExpressionNode) throws(ExpressionError) {
        try emit(node)
        try emit(.match)
        while let (instruction, body) = pending.popLast() {
            guard case .ahead(_, let isPositive) = instructions[instruction] else { continue }
            instructions[instruction] = .ahead(body: instructions.count, isPositive: isPositive)
            try emit(body)
            try emit(.match)
        }
    }

    private mutating func emit(_ instruction: Instruction) throws(ExpressionError) {
        guard instructions.count < Self.maximumCount else {
            throw ExpressionError("more than \(Self.maximumCount) steps; it is too large")
        }
        instructions.append(instruction)
    }

    private mutating func emit(_ node: ExpressionNode) throws(ExpressionError) {
        switch node {
        case .set(let set):
            let known = sets.firstIndex(of: set)
            if known == nil { sets.append(set) }
            try emit(.consume(set: known ?? sets.count - 1))
        case .sequence(let parts):
            for part in parts { try emit(part) }
        case .alternatives(let parts): try emitAlternatives(parts)
        case .repeated(let part, let minimum, let maximum, let isLazy):
            for _ in 0..<minimum { try emit(part) }
            if let maximum {
                try emitOptional(part, count: maximum - minimum, isLazy)
            } else {
                try emitLoop(part, isLazy)
            }
        case .ahead(let body, let isPositive):
            pending.append((instructions.count, body))
            try emit(.ahead(body: 0, isPositive: isPositive))
        case .behind(let set, let countsStart):
            behinds.append((set, countsStart))
            // A mask holds one bit for each.
            guard behinds.count <= 16 else { throw ExpressionError("more than 16 conditions on the character before") }
            try emit(.behind(behinds.count - 1))
        }
    }

    private mutating func emitAlternatives(_ parts: [ExpressionNode]) throws(ExpressionError) {
        var jumps: [Int] = []
        for part in parts.dropLast() {
            let branch = instructions.count
            try emit(.branch(first: 0, second: 0))
            try emit(part)
            jumps.append(instructions.count)
            try emit(.jump(0))
            instructions[branch] = .branch(first: branch + 1, second: instructions.count)
        }
        if let last = parts.last { try emit(last) }
        for jump in jumps { instructions[jump] = .jump(instructions.count) }
    }

    private mutating func emitOptional(_ part: ExpressionNode, count: Int, _ isLazy: Bool) throws(ExpressionError) {
        var branches: [Int] = []
        for _ in 0..<max(count, 0) {
            branches.append(instructions.count)
            try emit(.branch(first: 0, second: 0))
            try emit(part)
        }
        for branch in branches { setBranch(branch, to: instructions.count, isLazy) }
    }

    private mutating func emitLoop(_ part: ExpressionNode, _ isLazy: Bool) throws(ExpressionError) {
        guard !part.canBeEmpty else { throw ExpressionError("an endless repetition of what can be empty") }
        let branch = instructions.count
        try emit(.branch(first: 0, second: 0))
        try emit(part)
        try emit(.jump(branch))
        setBranch(branch, to: instructions.count, isLazy)
    }

    /// Completes a branch between the instruction after it and `exit`.
    private mutating func setBranch(_ branch: Int, to exit: Int, _ isLazy: Bool) {
        instructions[branch] =
            isLazy ? .branch(first: exit, second: branch + 1) : .branch(first: branch + 1, second: exit)
    }

    /// The instructions in an order in which each comes after those that it leads to without a character between.
    var evaluationOrder: [Int] {
        var order: [Int] = []
        var state = Array(repeating: UInt8(0), count: instructions.count)
        for root in instructions.indices {
            var stack = [root]
            while let instruction = stack.last {
                if state[instruction] == 0 {
                    state[instruction] = 1
                    for successor in successors(of: instruction) where state[successor] == 0 { stack.append(successor) }
                } else {
                    stack.removeLast()
                    if state[instruction] == 1 { order.append(instruction) }
                    state[instruction] = 2
                }
            }
        }
        return order
    }

    private func successors(of instruction: Int) -> [Int] {
        switch instructions[instruction] {
        case .match, .consume: []
        case .branch(let first, let second): [first, second]
        case .jump(let target): [target]
        case .ahead(let body, _): [body, instruction + 1]
        case .behind: [instruction + 1]
        }
    }
}
