// SPDX-License-Identifier: Apache-2.0

/// Cuts a template's source into tokens, with transformers' settings of white space: a line break after a tag is dropped
/// (`trim_blocks`), and so is the space between the beginning of a line and a tag (`lstrip_blocks`).
struct Lexer {
    var scanner: Scanner
    private var tokens: [Token] = []
    /// Whether what was read last ends a line; the source begins a line.
    private var isLineStart = true

    /// - Throws: `TemplateError` for tags that are not closed and characters that mean nothing.
    static func tokens(of source: String) throws(TemplateError) -> [Token] {
        var lexer = Lexer(scanner: Scanner(source))
        try lexer.readAll()
        return lexer.tokens
    }

    private init(scanner: Scanner) { self.scanner = scanner }

    private enum Tag { case output, statement, comment, raw }

    private mutating func readAll() throws(TemplateError) {
        while !scanner.isAtEnd {
            let start = scanner.position
            guard let tag = nextTag() else {
                append(.data(Array(scanner.scalars[start...])))
                scanner.position = scanner.scalars.count
                break
            }
            readOpening(tag, after: start)
            isLineStart = false
            switch tag {
            case .output: try readTag(.outputBegin, .outputEnd)
            case .statement: try readTag(.tagBegin, .tagEnd)
            case .comment: try readComment()
            case .raw: try readRaw()
            }
        }
        append(.end)
    }

    private mutating func append(_ kind: Token.Kind) { tokens.append(Token(kind: kind, line: scanner.line)) }

    /// Moves to the next tag, which `readOpening` reads.
    private mutating func nextTag() -> Tag? {
        while !scanner.isAtEnd {
            if scanner.peek("{{") { return .output }
            if scanner.peek("{#") { return .comment }
            if scanner.peek("{%") {
                var ahead = scanner
                _ = ahead.readOpening()
                return ahead.readWord("raw") && ahead.readRawEnd() ? .raw : .statement
            }
            scanner.position += 1
        }
        return nil
    }

    /// Reads the opening of a tag and emits the text before it as far as white space control leaves it.
    private mutating func readOpening(_ tag: Tag, after start: Int) {
        let end = scanner.position
        let sign = scanner.readOpening()
        emitText(start..<end, sign: sign, isOutput: tag == .output)
        if tag == .raw {
            _ = scanner.readWord("raw")
            _ = scanner.readRawEnd()
        }
    }

    private mutating func emitText(_ range: Range<Int>, sign: UInt32?, isOutput: Bool) {
        var text = scanner.scalars[range]
        if sign == Scanner.minus {
            text = text.stripped(left: false, right: true) { $0.isSpace }
        } else if sign == nil, !isOutput {
            let lineStart = text.lastIndex { $0.code == 0x0A }.map { $0 + 1 }
            if lineStart != nil || isLineStart {
                let first = lineStart ?? text.startIndex
                if text[first...].allSatisfy({ $0.isSpace }) { text = text[..<first] }
            }
        }
        guard !text.isEmpty else { return }
        tokens.append(Token(kind: .data(Array(text)), line: scanner.line(at: range.lowerBound)))
    }

    private mutating func readComment() throws(TemplateError) {
        let start = scanner.position
        while !scanner.isAtEnd {
            if let end = scanner.readTagEnd("#}", hasPlus: true, trims: true) {
                isLineStart = end
                return
            }
            scanner.position += 1
        }
        // Jinja takes an opening at the very end of a template for none.
        if start < scanner.scalars.count {
            throw TemplateError(.syntax, line: scanner.line(at: start), "the comment is not closed by '#}'")
        }
    }

    private mutating func readRaw() throws(TemplateError) {
        let start = scanner.position
        while !scanner.isAtEnd {
            var ahead = scanner
            if ahead.peek("{%") {
                let sign = ahead.readOpening()
                if ahead.readWord("endraw"), let end = ahead.readTagEnd("%}", hasPlus: true, trims: true) {
                    isLineStart = scanner.scalars[start - 1].code == 0x0A
                    emitText(start..<scanner.position, sign: sign, isOutput: false)
                    scanner = ahead
                    isLineStart = end
                    return
                }
            }
            scanner.position += 1
        }
        if start < scanner.scalars.count {
            throw TemplateError(.syntax, line: scanner.line(at: start), "the raw text is not closed by {% endraw %}")
        }
    }

    /// The tokens of a tag up to its end.
    private mutating func readTag(_ begin: Token.Kind, _ end: Token.Kind) throws(TemplateError) {
        append(begin)
        var open: [Symbol] = []
        let isOutput = begin == .outputBegin
        while true {
            if open.isEmpty,
                let endsLine = scanner.readTagEnd(isOutput ? "}}" : "%}", hasPlus: !isOutput, trims: !isOutput)
            {
                isLineStart = endsLine
                return append(end)
            }
            scanner.skipSpace()
            guard !scanner.isAtEnd else { return }
            // After white space the tag may end.
            if open.isEmpty, scanner.isTagEnd(isOutput ? "}}" : "%}", hasPlus: !isOutput) { continue }
            let line = scanner.line
            let kind = try scanner.readToken()
            if case .symbol(let symbol) = kind {
                if symbol.closing != nil { open.append(symbol) }
                if symbol.closes, open.popLast()?.closing != symbol {
                    throw TemplateError(.syntax, line: line, "unexpected '\(symbol.rawValue)'")
                }
            }
            tokens.append(Token(kind: kind, line: line))
        }
    }
}
