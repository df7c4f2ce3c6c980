// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinyPlatform
import TinyRuntime
import TinySupport

/// How fast several sequences are decoded together: `bench --sequences`.
struct SequencesBenchmark {
    let model: Model
    let options: Session.Options
    let promptCount, decodeCount, repetitions: Int
    /// Tokens to take prompts from, at least `promptCount`.
    let ids: [Int32]

    /// Measures one number of sequences after another.
    /// - Throws: `Failure`.
    func run(_ counts: [Int]) throws(Failure) -> SequencesReport {
        var progress = Console.Progress()
        defer { progress.clear() }
        var report = SequencesReport(model: model)
        do throws(RuntimeError) {
            for count in counts {
                progress.show("\(count) sequences")
                try measure(count, &report)
            }
        } catch {
            throw Failure(error)
        }
        return report
    }

    /// Tokens per second of `count` sequences in all, while all of them decode.
    private func measure(_ count: Int, _ report: inout SequencesReport) throws(RuntimeError) {
        var options = options
        // The first sequences decode while the last prompts are read; a step may end with the end of a prompt.
        let reading = promptCount * count / Batch.prefillPiece + count + 1
        options.context = min(promptCount + reading + decodeCount + 1, model.config.contextLength)
        let batch = try Batch(model, places: count, options)
        var speeds: [Double] = []
        for repetition in 0...repetitions {
            let speed = try speed(of: count, batch, repetition)
            if repetition > 0 { speeds.append(speed) }
        }
        (report.kernels, report.threads) = (batch.kernelName, batch.threads)
        report.speeds.append((count, Speeds(speeds, [])))
    }

    private func speed(of count: Int, _ batch: Batch, _ repetition: Int) throws(RuntimeError) -> Double {
        var generation = GenerationOptions()
        generation.sampling = .greedy
        generation.maxTokens = Int.max
        generation.ignoresEndOfText = true
        let sequences = try (0..<count).map { i throws(RuntimeError) in
            // No two begin alike, so that each is read.
            let first = (i + count * repetition) % ids.count
            return try batch.add(Array((ids[first...] + ids[..<first]).prefix(promptCount)), generation)
        }
        while batch.step().count < count, !batch.isIdle {}
        let start = ContinuousClock.now
        var tokens = 0
        for _ in 0..<decodeCount {
            let outputs = batch.step()
            for output in outputs {
                if let error = output.error { throw error }
                if output.isLast { throw .contextFull(limit: batch.contextLimit) }
            }
            tokens += outputs.count
        }
        let speed = Double(tokens) / seconds(since: start)
        for id in sequences { batch.cancel(id) }
        while !batch.isIdle { _ = batch.step() }
        return speed
    }
}

/// What `bench --sequences` found.
struct SequencesReport {
    let model: Model
    var kernels = ""
    var threads = 0
    var speeds: [(sequences: Int, speeds: Speeds)] = []

    var text: String {
        let lines = speeds.map { count, speeds in
            "decode \("\(count)".leftPadded(to: 4)) sequence\(count == 1 ? " " : "s"): \(speeds)"
        }
        return (["\(escaped(model.config.name)), \(kernels), \(threads) threads"] + lines).joined(separator: "\n")
    }

    var json: JSON {
        .object([
            ("model", .string(model.config.name)), ("file", .string(model.file.path)),
            ("version", .string(TinySparseVersion.string)), ("kernels", .string(kernels)),
            ("threads", .number(threads)),
            (
                "decode",
                .array(
                    speeds.map { count, speeds in
                        .object([
                            ("sequences", .number(count)), ("tokens_per_second", .double(speeds.median)),
                            ("tokens_per_second_min", .double(speeds.slowest)),
                            ("tokens_per_second_max", .double(speeds.fastest)),
                        ])
                    })
            ),
        ])
    }
}
