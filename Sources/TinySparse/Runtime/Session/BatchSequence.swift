// SPDX-License-Identifier: Apache-2.0

import SIMDKernels
import TinySupport
import TinyTokenizer

/// One text of a batch.
final class BatchSequence {
    let id: Batch.ID
    private(set) var state: GenerationState
    /// What was read of it.
    let cache: SequenceCache
    /// Not yet evaluated: of the prompt, or of a context that was full.
    private(set) var prompt: ArraySlice<Int32>
    /// Chosen, and not yet evaluated.
    private(set) var pending: Int32?
    /// What the token chosen last came to.
    private(set) var text = ""
    /// How likely that token was, if that was asked for.
    private(set) var choice: TokenChoice?
    /// How many tokens of the prompt others had read.
    private let sharedTokens: Int
    private(set) var error: RuntimeError?

    init(_ request: Batch.Request, _ cache: SequenceCache) {
        id = request.id
        state = request.state
        self.cache = cache
        sharedTokens = cache.tokens.count
        prompt = request.prompt[sharedTokens...]
    }

    var reason: StopReason? { state.reason }
    var hasEnded: Bool { reason != nil || error != nil }

    /// What the batch tells of it after a step.
    var output: Batch.Output {
        Batch.Output(
            id: id, text: text, tokens: state.generated.count, choice: choice, sharedTokens: sharedTokens,
            reason: reason,
            error: error)
    }

    /// How much of a text is what was read, or will be when the prompt is.
    func commonPrefix(with text: ArraySlice<Int32>) -> Int {
        let read = cache.tokens.commonPrefix(with: text)
        return read < cache.tokens.count ? read : read + prompt.commonPrefix(with: text.dropFirst(read))
    }

    /// Before a token is decoded: whether there is one and room for it. The text may end here, or its context begin anew.
    func canDecode(_ limit: Int, _ tokenizer: Tokenizer) -> Bool {
        text = ""
        choice = nil
        guard !hasEnded, prompt.isEmpty, pending != nil, !endsBeforeNext() else { return false }
        guard cache.tokens.count == limit else { return true }
        guard state.options.shiftsContext else {
            text = state.finish(.contextFull) ?? ""
            return false
        }
        let (keep, recent) = state.shifted(cache.tokens, tokenizer)
        prompt = recent
        cache.keep(keep)
        return false
    }

    /// Ends the text if it has all the tokens it may have.
    func endsBeforeNext() -> Bool {
        guard state.isComplete else { return false }
        text = state.finish(.maxTokens) ?? ""
        return true
    }

    /// Notes that the pending token has been evaluated.
    /// - Parameter dense: with every neuron and head.
    func evaluatedPending(dense: Bool) {
        cache.append(CollectionOfOne(pending!), dense: dense)
        pending = nil
    }

    /// Notes that so many tokens of the prompt have been evaluated.
    func evaluatedPrompt(_ count: Int) {
        cache.append(prompt.prefix(count), dense: true)
        prompt = prompt.dropFirst(count)
    }

    /// Chooses a token by the logits of the last one evaluated.
    func choose(_ logits: UnsafeBufferPointer<Float>, _ tokenizer: Tokenizer, _ kernels: KernelTable) {
        do throws(RuntimeError) {
            let count = state.generated.count
            text = try state.choose(logits, history: cache.tokens, tokenizer) ?? ""
            pending = state.generated.last
            choice = state.generated.count > count ? state.choice(by: logits, kernels) : nil
        } catch {
            text = ""
            self.error = error
        }
    }

    func cancel() { state.cancel() }
}
