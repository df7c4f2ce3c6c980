// SPDX-License-Identifier: Apache-2.0

import TinySupport

/// What a key asks the editor to do.
package enum Key: Equatable, Sendable {
    /// One scalar, as typed.
    case text(String)
    /// All lines of a bracketed paste.
    case paste(String)
    case left, right, up, down, home, end, wordLeft, wordRight
    case deleteBack, deleteForward, deleteWordBack, deleteWordForward, deleteToStart, deleteToEnd
    case enter, newline, clearScreen, interrupt, endOfInput, suspend
}

/// Makes keys of the bytes that a terminal in raw mode sends: UTF-8, control characters, the escape sequences of xterm and
/// those that understand it (ECMA-48, 5.4), and bracketed paste. Unknown sequences are dropped as a whole.
package struct KeyParser {
    private enum State {
        case ground, escape, control, function, paste
        /// Inside a scalar of so many bytes.
        case scalar(Int)
    }

    private var state = State.ground
    private var bytes: [UInt8] = []

    /// Most bytes of one paste; the rest of it is dropped.
    package static let longestPaste = 1 << 20
    private static let longestSequence = 32
    private static let pasteEnd = Array("\u{1B}[201~".utf8)

    package init() {}

    /// Whether an escape has come that may be a key of its own.
    package var isAmbiguous: Bool { if case .escape = state { true } else { false } }

    /// Gives up an escape after which nothing came.
    package mutating func flush() { if isAmbiguous { state = .ground } }

    /// The key that a byte completes. Amortized O(1).
    package mutating func feed(_ byte: UInt8) -> Key? {
        switch state {
        case .ground: return ground(byte)
        case .scalar(let length): return scalar(byte, length)
        case .escape: return escape(byte)
        case .function:
            state = .ground
            return Self.cursorKey(byte, isModified: false)
        case .control: return control(byte)
        case .paste: return paste(byte)
        }
    }

    private mutating func ground(_ byte: UInt8) -> Key? {
        switch byte {
        case 0x1B: state = .escape
        case 0x20..<0x7F: return .text(String(UnicodeScalar(byte)))
        case 0xC2...0xF4:
            bytes = [byte]
            state = .scalar(byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4)
        case 0x80...: return .text("\u{FFFD}")
        default: return Self.controlKeys[byte]
        }
        return nil
    }

    private static let controlKeys: [UInt8: Key] = [
        1: .home, 2: .left, 3: .interrupt, 4: .endOfInput, 5: .end, 6: .right, 8: .deleteBack, 10: .newline,
        11: .deleteToEnd, 12: .clearScreen, 13: .enter, 14: .down, 16: .up, 21: .deleteToStart, 23: .deleteWordBack,
        26: .suspend, 0x7F: .deleteBack,
    ]

    private mutating func scalar(_ byte: UInt8, _ length: Int) -> Key? {
        guard 0x80..<0xC0 ~= byte else {
            // The scalar was cut: what came of it is lost, this byte is not.
            state = .ground
            return ground(byte)
        }
        bytes.append(byte)
        guard bytes.count == length else { return nil }
        state = .ground
        let text = String(decoding: bytes, as: UTF8.self)
        return text.unicodeScalars.allSatisfy { !$0.isTerminalControl } ? .text(text) : nil
    }

    private mutating func escape(_ byte: UInt8) -> Key? {
        state = .ground
        switch byte {
        case 0x1B: state = .escape
        case UInt8(ascii: "["):
            bytes = []
            state = .control
        case UInt8(ascii: "O"): state = .function
        case 0x0D, 0x0A: return .newline
        case UInt8(ascii: "b"): return .wordLeft
        case UInt8(ascii: "f"): return .wordRight
        case UInt8(ascii: "d"): return .deleteWordForward
        case 0x7F, 0x08: return .deleteWordBack
        default: break
        }
        return nil
    }

    private mutating func control(_ byte: UInt8) -> Key? {
        guard 0x20...0x7E ~= byte, bytes.count < Self.longestSequence else {
            state = .ground
            return byte == 0x1B || byte > 0x7E ? nil : ground(byte)
        }
        guard byte >= 0x40 else {
            bytes.append(byte)
            return nil
        }
        state = .ground
        let parts = bytes.split(separator: UInt8(ascii: ";"), omittingEmptySubsequences: false)
            .map { Int(String(decoding: $0, as: UTF8.self)) ?? 0 }
        let isModified = parts.count > 1 && parts[1] > 1
        switch (byte, parts.first ?? 0) {
        case (UInt8(ascii: "~"), 1), (UInt8(ascii: "~"), 7): return .home
        case (UInt8(ascii: "~"), 4), (UInt8(ascii: "~"), 8): return .end
        case (UInt8(ascii: "~"), 3): return isModified ? .deleteWordForward : .deleteForward
        case (UInt8(ascii: "~"), 200):
            bytes = []
            state = .paste
            return nil
        // Enter with shift or another key, where the terminal tells them apart.
        case (UInt8(ascii: "~"), 27) where parts.count == 3 && parts[2] == 13: return .newline
        case (UInt8(ascii: "u"), 13): return isModified ? .newline : .enter
        default: return Self.cursorKey(byte, isModified: isModified)
        }
    }

    private static func cursorKey(_ byte: UInt8, isModified: Bool) -> Key? {
        switch byte {
        case UInt8(ascii: "A"): .up
        case UInt8(ascii: "B"): .down
        case UInt8(ascii: "C"): isModified ? .wordRight : .right
        case UInt8(ascii: "D"): isModified ? .wordLeft : .left
        case UInt8(ascii: "H"): .home
        case UInt8(ascii: "F"): .end
        default: nil
        }
    }

    private mutating func paste(_ byte: UInt8) -> Key? {
        bytes.append(byte)
        if byte == Self.pasteEnd.last, bytes.suffix(Self.pasteEnd.count) == Self.pasteEnd[...] {
            state = .ground
            let text = String(decoding: bytes.dropLast(Self.pasteEnd.count), as: UTF8.self)
            bytes = []
            return .paste(Self.cleaned(text))
        }
        // Room is kept for the end of it.
        if bytes.count > Self.longestPaste + Self.pasteEnd.count {
            bytes.remove(at: Self.longestPaste)
        }
        return nil
    }

    /// Line breaks as line feeds, and no controls but those and tabs.
    private static func cleaned(_ text: String) -> String {
        var result = String.UnicodeScalarView()
        var previous: Unicode.Scalar?
        for scalar in text.unicodeScalars {
            if scalar == "\r" || (scalar == "\n" && previous != "\r") {
                result.append("\n")
            } else if scalar == "\t" || !scalar.isTerminalControl {
                result.append(scalar)
            }
            previous = scalar
        }
        return String(result)
    }
}
