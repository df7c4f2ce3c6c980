// SPDX-License-Identifier: Apache-2.0

import TinySparse

/// Random texts through a batch, each compared with the one it is alone.
struct TextSoak {
    private struct Answer: Equatable {
        var text = ""
        var tokens = 0
        var reason: StopReason?
    }

    private struct Open {
        let job: Int
        var text = ""
        /// The step in which it is cancelled.
        let cancelled: Int?
    }

    private let model: Model
    private let count: Int
    private let context: Int
    private let batch: Batch
    private var random = SplitMix64(state: 16)
    private var jobs: [(job: SoakJob, alone: Answer)] = []
    private var open: [Batch.ID: Open] = [:]
    private var added = 0, finished = 0, cancelled = 0, refused = 0, full = 0, tokens = 0

    /// - Parameter count: how many texts.
    init(_ model: Model, places: Int, count: Int) throws {
        self.model = model
        self.count = count
        // Small, so that caches are full all the time, and some texts longer than they.
        context = min(model.config.contextLength, 128)
        batch = try Batch(model, places: places, soakOptions(model, context: context))
    }

    mutating func run() throws {
        try writeAlone()
        let clock = ContinuousClock()
        let start = clock.now
        var memory: [Int] = []
        var step = 0
        while added < count || !batch.isIdle {
            while added < count, batch.hasPlace || random.once(in: 3) { try add(step) }
            if random.once(in: 20) { try refuse() }
            for (id, text) in open where text.cancelled == step { batch.cancel(id) }
            for output in batch.step() { try take(output) }
            step += 1
            if memory.count < 4, finished + cancelled >= count * (memory.count + 1) / 4 {
                memory.append(residentMemory())
            }
        }
        while memory.count < 4 { memory.append(residentMemory()) }
        guard open.isEmpty else { throw SoakFailure(description: "\(open.count) texts have no end") }
        let seconds = (clock.now - start) / .seconds(1)
        report(
            "\(finished) texts as alone (\(full) filled the context), \(cancelled) cancelled, \(refused) refused; "
                + "\(tokens) tokens in \(step) steps and \(Int(seconds)) s; \(batch.sharedTokens) tokens of prompts shared"
        )
        report("resident memory at the quarters: \(memory.map(String.init).joined(separator: ", ")) kB")
        guard memory[3] - memory[0] <= 2048 else { throw SoakFailure(description: "memory grows") }
    }

    /// The texts that each job gives alone.
    private mutating func writeAlone() throws {
        let session = try Session(model, soakOptions(model, context: context))
        for _ in 0..<min(max(count / 10, 10), 200) {
            let job = SoakJob(model, prompts: 1...context, lengths: 0...context, &random)
            session.rewind(to: 0)
            var generation = try session.generation(prompt: job.prompt, job.options)
            var answer = Answer()
            while let piece = try generation.next() { answer.text += piece }
            (answer.tokens, answer.reason) = (generation.generated.count, generation.reason)
            jobs.append((job, answer))
        }
        report("\(jobs.count) texts alone, \(batch.places) places of \(context) tokens")
    }

    private mutating func add(_ step: Int) throws {
        let number = Int.random(in: 0..<jobs.count, using: &random), job = jobs[number].job
        // Waiting, in its prompt, or in its text.
        let cancelled = random.once(in: 5) ? step + Int.random(in: 0..<60, using: &random) : nil
        open[try batch.add(job.prompt, job.options)] = Open(job: number, cancelled: cancelled)
        added += 1
    }

    /// Adds what cannot be added.
    private mutating func refuse() throws {
        var options = GenerationOptions()
        let vocabulary = Int32(model.config.vocabularySize)
        var prompt: [Int32] = [[], [-1], [1, vocabulary], [Int32](repeating: 1, count: context + 1)].randomElement(
            using: &random)!
        if random.once(in: 5) {
            prompt = [1]
            options.maxTokens = -1
        }
        do throws(RuntimeError) { try batch.add(prompt, options) } catch {
            refused += 1
            return
        }
        throw SoakFailure(description: "a prompt of \(prompt.count) tokens was not refused")
    }

    private mutating func take(_ output: Batch.Output) throws {
        open[output.id]!.text += output.text
        guard output.isLast else { return }
        let text = open.removeValue(forKey: output.id)!
        let wanted = jobs[text.job].alone
        let got = Answer(text: text.text, tokens: output.tokens, reason: output.reason)
        tokens += output.tokens
        if let error = output.error { throw error }
        if output.reason == .cancelled, text.cancelled != nil {
            cancelled += 1
            guard !wanted.text.utf8.starts(with: got.text.utf8) else { return }
        } else {
            finished += 1
            if output.reason == .contextFull { full += 1 }
            guard got != wanted else { return }
        }
        throw SoakFailure(description: "text \(output.id), job \(text.job): \(got) instead of \(wanted)")
    }
}
