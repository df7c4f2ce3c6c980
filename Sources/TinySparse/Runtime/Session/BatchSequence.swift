// SPDX-License-Identifier: Apache-2.0

import TinySupport
import TinyTokenizer

/// One text of a batch.
final class BatchSequence {
    let id: Batch.ID
    private(set) var state: GenerationState
    /// Its place in the batch.
    let place: BatchPlace
    /// Not yet evaluated: of the prompt, or of a context that was full.
    private(set) var prompt: ArraySlice<Int32>
    /// Chosen, and not yet evaluated.
    private(set) var pending: Int32?
    /// What the token chosen last came to.
    private(set) var text = ""
    private(set) var error: RuntimeError?

    init(_ request: Batch.Request, _ place: BatchPlace) {
        id = request.id
        state = request.state
        self.place = place
        prompt = request.prompt[place.tokens.count...]
    }

    var reason: StopReason? { state.reason }
    var hasEnded: Bool { reason != nil || error != nil }

    /// What the batch tells of it after a step.
    var output: Batch.Output {
        Batch.Output(id: id, text: text, tokens: state.generated.count, reason: reason, error: error)
    }

    /// Before a token is decoded: whether there is one and room for it. The text may end here, or its context begin anew.
    func canDecode(_ limit: Int, _ tokenizer: Tokenizer) -> Bool {
        text = ""
        guard !hasEnded, prompt.isEmpty, pending != nil, !endsBeforeNext() else { return false }
        guard place.tokens.count == limit else { return true }
        guard state.options.shiftsContext else {
            text = state.finish(.contextFull) ?? ""
            return false
        }
        let (keep, recent) = state.shifted(place.tokens, tokenizer)
        prompt = recent
        place.keep(keep)
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
        place.append(CollectionOfOne(pending!), dense: dense)
        pending = nil
    }

    /// Notes that so many tokens of the prompt have been evaluated.
    func evaluatedPrompt(_ count: Int) {
        place.append(prompt.prefix(count), dense: true)
        prompt = prompt.dropFirst(count)
    }

    /// Chooses a token by the logits of the last one evaluated.
    func choose(_ logits: UnsafeBufferPointer<Float>, _ tokenizer: Tokenizer) {
        do throws(RuntimeError) {
            text = try state.choose(logits, history: place.tokens, tokenizer) ?? ""
            pending = state.generated.last
        } catch {
            text = ""
            self.error = error
        }
    }

    func cancel() { state.cancel() }
}

/// Where a sequence of a batch keeps its keys and values: it stays when the sequence has ended, so that a text that begins
/// alike can go on from there.
final class BatchPlace {
    let cache: KVCache
    /// The tokens whose keys and values are in the cache.
    private(set) var tokens: [Int32] = []
    /// How many of them, from the first on, were evaluated with every neuron and head: as those of a prompt are.
    private var denseTokens = 0
    /// When it was used last.
    var age = 0

    init(_ cache: KVCache) { self.cache = cache }

    func append(_ new: some Collection<Int32>, dense: Bool) {
        if dense, denseTokens == tokens.count { denseTokens += new.count }
        tokens += new
    }

    /// Forgets all but the first `count` tokens.
    func keep(_ count: Int) {
        tokens.removeLast(tokens.count - count)
        denseTokens = min(denseTokens, count)
    }

    /// Takes over the first `count` tokens of another place, which were those of a prompt.
    func copy(_ count: Int, from other: BatchPlace) {
        cache.copy(count, from: other.cache)
        tokens = Array(other.tokens[..<count])
        denseTokens = count
    }

    /// How many tokens of a prompt are here already, evaluated as a prompt is; the last one has to be evaluated in any case.
    func shared(with prompt: [Int32]) -> Int {
        tokens.prefix(denseTokens).commonPrefix(with: prompt.dropLast())
    }
}
