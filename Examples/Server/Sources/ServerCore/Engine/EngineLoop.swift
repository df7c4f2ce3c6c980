// SPDX-License-Identifier: Apache-2.0

import TinySparse

/// What the engine's thread does: it tells the batch what has come, steps it, and hands out what the step made.
struct EngineLoop {
    private let batch: Batch
    private let engine: Engine
    /// Requests with a text in the batch.
    private var jobs: [Job.ID: (job: Job, ids: Set<Batch.ID>)] = [:]
    /// Whose text a sequence of the batch is, and which.
    private var owners: [Batch.ID: (job: Job.ID, text: Int)] = [:]
    private var isStopped = false

    init(_ batch: Batch, _ engine: Engine) {
        self.batch = batch
        self.engine = engine
    }

    /// Works until it is told to stop.
    consuming func run() {
        while !isStopped {
            for command in engine.commands(waiting: batch.isIdle) { obey(command) }
            guard !batch.isIdle else { continue }
            for output in batch.step() { deliver(output) }
        }
    }

    private mutating func obey(_ command: Engine.Command) {
        switch command {
        case .start(let job): start(job)
        case .cancel(let id):
            guard let job = jobs[id]?.job else { return }
            abandon(job, CancellationError())
        case .stop:
            for (job, _) in jobs.values { end(job, EngineError.draining) }
            isStopped = true
        }
    }

    private mutating func start(_ job: Job) {
        jobs[job.id] = (job, [])
        do {
            for (index, text) in job.texts.enumerated() {
                let id = try batch.add(text.prompt, text.options)
                owners[id] = (job.id, index)
                jobs[job.id]!.ids.insert(id)
            }
        } catch {
            // Those that were not added are not open either.
            let missing = job.texts.count - jobs[job.id]!.ids.count
            engine.update { $0.open -= missing }
            return end(job, error)
        }
        engine.update { $0.promptTokens += job.texts.reduce(0) { $0 + $1.prompt.count } }
        yield(.begun, to: job)
    }

    private mutating func deliver(_ output: Batch.Output) {
        // A text that was given up has nobody who waits for it.
        guard let (id, text) = owners[output.id], let job = jobs[id]?.job else { return }
        if let error = output.error { return end(job, error) }
        guard yield(.output(text, output), to: job), output.isLast else { return }
        owners[output.id] = nil
        jobs[id]!.ids.remove(output.id)
        engine.update {
            $0.open -= 1
            $0.tokens += output.tokens
            $0.cachedTokens += output.sharedTokens
        }
        guard jobs[id]!.ids.isEmpty else { return }
        jobs[id] = nil
        job.continuation.finish()
    }

    /// - Returns: false if nobody takes it, which ends the job.
    @discardableResult
    private mutating func yield(_ event: Answer.Event, to job: Job) -> Bool {
        switch job.continuation.yield(event) {
        case .enqueued: return true
        case .dropped: abandon(job, EngineError.unread)
        case .terminated: abandon(job, CancellationError())
        @unknown default: abandon(job, CancellationError())
        }
        return false
    }

    /// Ends a job that nobody reads.
    private mutating func abandon(_ job: Job, _ error: any Error) {
        engine.update { $0.abandoned += 1 }
        end(job, error)
    }

    /// Ends a job early: its texts leave the batch before the next step.
    private mutating func end(_ job: Job, _ error: any Error) {
        let ids = jobs.removeValue(forKey: job.id)?.ids ?? []
        for id in ids {
            batch.cancel(id)
            owners[id] = nil
        }
        engine.update { $0.open -= ids.count }
        job.continuation.finish(throwing: error)
    }
}
