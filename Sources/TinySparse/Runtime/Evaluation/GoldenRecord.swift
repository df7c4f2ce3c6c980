// SPDX-License-Identifier: Apache-2.0

import TinyPlatform
import TinySupport

/// What a model computes, as text that can be compared: for some prompts the token ids, and for every
/// position the hashes of the logits and of each layer's output. docs/NUMERICS.md promises them to be the
/// same everywhere.
///
///     tinysparse reference 2
///     contract 1                              version of the numeric contract
///     model 0123456789abcdef                  xxHash64 of the native model
///     made with 0.1.0, avx512, ...            any number of lines about where it comes from
///     text dense 3 "Once upon a time"         the mode; how many tokens the prompt has; the prompt
///     0 1 LOGITS LAYER0 LAYER1 ...            position, token, hashes
///     1 9038 ...
///     text predicted 3 "Once upon a time"     the same with the model's own predictors
///     text screened 3 "Once upon a time"      and with low-rank logit screening, the largest logit exact
///     ...
///     end 239                                 how many lines there are before this one
///
/// Positions after the prompt hold what the model generated, greedily. A hash is xxHash64, seed 0, of the
/// little-endian bits of the floats.
package struct GoldenRecord: Sendable, Equatable, CustomStringConvertible {
    /// What was computed of neurons, heads and logits.
    package enum Mode: String, Sendable, CaseIterable {
        case dense, predicted, screened

        var sparsity: Sparsity { self == .dense ? .off : .predicted() }
    }

    /// The outputs at one position.
    package struct Position: Sendable, Equatable {
        package var token: Int32
        package var logits: UInt64
        package var layers: [UInt64]
    }

    /// One prompt and what came of it.
    package struct Text: Sendable, Equatable {
        package var mode: Mode
        package var prompt: String
        /// How many of the positions are the prompt's.
        package var promptCount: Int
        package var positions: [Position]
    }

    /// Of the native model's bytes.
    package var modelHash: UInt64
    /// Where it comes from, for people: version, CPU, date.
    package var provenance: [String]
    package var texts: [Text]

    package init(modelHash: UInt64, provenance: [String], texts: [Text]) {
        self.modelHash = modelHash
        self.provenance = provenance
        self.texts = texts
    }
}

// MARK: Text

/// What is wrong with a file of recorded outputs.
package struct GoldenRecordError: Error, Equatable, CustomStringConvertible {
    package let line: Int
    package let message: String
    package var description: String { "line \(line): \(message)" }
}

extension GoldenRecord {
    private static let firstLine = "tinysparse reference 2"

    /// The text of the file.
    package var description: String {
        var lines = [
            Self.firstLine, "contract \(TinySparseVersion.numericContract)", "model \(hexadecimal(modelHash))",
        ]
        lines += provenance.map { "made \($0)" }
        for text in texts {
            lines.append("text \(text.mode.rawValue) \(text.promptCount) \(JSON.quoted(text.prompt))")
            for (index, position) in text.positions.enumerated() {
                let hashes = ([position.logits] + position.layers).map(hexadecimal)
                lines.append("\(index) \(position.token) " + hashes.joined(separator: " "))
            }
        }
        lines.append("end \(lines.count)")
        return lines.joined(separator: "\n") + "\n"
    }

    /// Reads a file.
    /// - Throws: `GoldenRecordError` naming the line.
    package init(parsing text: String) throws(GoldenRecordError) {
        self.init(modelHash: 0, provenance: [], texts: [])
        var contract: Int?, end: Int?
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            func wrong(_ message: String) -> GoldenRecordError { GoldenRecordError(line: index + 1, message: message) }
            if index == 0 {
                guard line == Self.firstLine else { throw wrong("is not \"\(Self.firstLine)\"") }
                continue
            }
            let words = line.split(separator: " ", maxSplits: 1)
            guard let key = words.first else { continue }
            guard end == nil else { throw wrong("is after the end") }
            let rest = words.count > 1 ? words[1] : ""
            switch key {
            case "contract":
                contract = Int(rest)
                guard contract == TinySparseVersion.numericContract else {
                    throw wrong(
                        "is of another numeric contract than \(TinySparseVersion.numericContract); record again")
                }
            case "end":
                guard Int(rest) == index else {
                    throw wrong("the file has \(index) lines before this one, not \(rest)")
                }
                end = index
            case "model":
                guard let hash = UInt64(rest, radix: 16) else { throw wrong("is no hash of a model") }
                modelHash = hash
            case "made": provenance.append(String(rest))
            case "text":
                guard let text = Text(header: rest) else { throw wrong("is no text MODE COUNT \"PROMPT\"") }
                texts.append(text)
            default:
                guard let text = texts.last, Int(key) == text.positions.count, let position = Position(rest),
                    position.layers.count == text.positions.first?.layers.count ?? position.layers.count
                else { throw wrong("is not the next position: NUMBER TOKEN LOGITS LAYER...") }
                texts[texts.count - 1].positions.append(position)
            }
        }
        guard contract != nil else { throw GoldenRecordError(line: 1, message: "the file names no numeric contract") }
        guard end != nil else {
            throw GoldenRecordError(
                line: text.split(separator: "\n").count, message: "the file is cut short: its last line is not an end")
        }
        guard texts.allSatisfy({ (0...$0.positions.count).contains($0.promptCount) }) else {
            throw GoldenRecordError(line: 1, message: "a text has fewer positions than its prompt has tokens")
        }
    }
}

extension GoldenRecord.Text {
    fileprivate init?(header: Substring) {
        let words = header.split(separator: " ", maxSplits: 2)
        guard words.count == 3, let mode = GoldenRecord.Mode(rawValue: String(words[0])),
            let count = Int(words[1]), let prompt = try? JSON.parse(Array(words[2].utf8)).string
        else { return nil }
        self.init(mode: mode, prompt: prompt, promptCount: count, positions: [])
    }
}

extension GoldenRecord.Position {
    fileprivate init?(_ line: Substring) {
        let words = line.split(separator: " ")
        guard words.count >= 2, let token = Int32(words[0]) else { return nil }
        let hashes = words.dropFirst().compactMap { UInt64($0, radix: 16) }
        guard hashes.count == words.count - 1 else { return nil }
        self.init(token: token, logits: hashes[0], layers: Array(hashes[1...]))
    }
}

private func hexadecimal(_ value: UInt64) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
}
