// SPDX-License-Identifier: Apache-2.0

import TinyPlatform
import TinyRuntime
import TinyTokenizer

/// Prefills a prompt and prints the generated text, until it ends or a signal arrives.
final class AnswerPrinter {
    private let session: Session
    private var promptTokens = 0
    private var cachedTokens = 0
    private var prefillSeconds = 0.0
    private var decodeSeconds = 0.0
    /// The generated text without what it thought, and that.
    private(set) var text = ""
    private(set) var thinking = ""
    private(set) var tokens: [Int32] = []
    private(set) var reason = StopReason.cancelled

    private let display: ThinkingDisplay

    init(session: Session, _ display: ThinkingDisplay) {
        self.session = session
        self.display = display
    }

    /// - Parameter cache: has parts of the prompt, or gets it; for a session that has read nothing.
    /// - Throws: `Failure`, but a signal only ends the text; `reason` is then `cancelled`.
    func answer(_ ids: [Int32], _ options: GenerationOptions, _ cache: PromptCache? = nil) throws(Failure) {
        let start = ContinuousClock.now
        if let cache { cachedTokens = try cache.restore(session, for: ids) }
        var generation = try session.begin(Array(ids[cachedTokens...]), options)
        promptTokens = ids.count - cachedTokens
        prefillSeconds = seconds(since: start)
        // The prompt's end may have been evaluated before, and then is not among `ids`.
        let end = session.model.tokenizer.decode(Array(session.tokens.suffix(16)), skipSpecial: false)
        var splitter = display == .raw ? nil : ThinkingSplitter(after: end)
        var hasThought = false
        func show(_ parts: ThinkingSplitter.Parts) throws(Failure) {
            text += parts.answer
            thinking += parts.thinking
            try display.show(parts, &hasThought)
        }
        while Signals.pending == 0, let piece = try generation.nextPiece() {
            try show(splitter?.feed(piece) ?? ThinkingSplitter.Parts(answer: piece))
            // The first token, which is shown by now, did not have to wait for it.
            cache?.save(session)
        }
        if let rest = splitter?.finish() { try show(rest) }
        if generation.reason != .cancelled { cache?.save(session) }
        tokens = generation.generated
        reason = generation.reason ?? .cancelled
        decodeSeconds = seconds(since: start) - prefillSeconds
    }

    func printStatistics(seed: UInt64) {
        let end =
            switch reason {
            case .endOfText: "end of text"
            case .maxTokens: "--max-tokens reached"
            case .stopString(let text): "stopped before \"\(escaped(text, limit: 40))\""
            case .contextFull: "context full (--context-shift continues)"
            case .cancelled: "interrupted"
            }
        func speed(_ count: Int, _ seconds: Double) -> String {
            "\(count) tokens" + (count > 0 && seconds > 0 ? ", \(fixed(Double(count) / seconds, 1)) tokens/s" : "")
        }
        Console.note(
            "[" + (cachedTokens > 0 ? "\(cachedTokens) tokens from the prompt cache; " : "")
                + "prefill \(speed(promptTokens, prefillSeconds)); decode \(speed(tokens.count, decodeSeconds)); "
                + (session.screenActivity.map { $0.tokens > 0 ? $0.text + "; " : "" } ?? "")
                + (session.speculationActivity.map { $0.drafted > 0 ? $0.text + "; " : "" } ?? "")
                + "\(session.threads) threads, \(session.kernelName); seed \(seed); \(end)]")
    }
}
