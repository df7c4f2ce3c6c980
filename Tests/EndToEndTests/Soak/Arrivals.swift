// SPDX-License-Identifier: Apache-2.0

import TinySparse

/// Texts that come at random times (a Poisson process), 70 % of what the batch can do, and how long they wait.
struct Arrivals {
    private struct Open {
        /// When it came, and when its last token did; seconds.
        let arrival: Double
        var last: Double?
        var tokens = 0
    }

    private static let load = 0.7

    private let batch: Batch
    private let model: Model
    private let seconds: Double
    private let context: Int
    private var random = SplitMix64(state: 70)
    private var open: [Batch.ID: Open] = [:]
    private var firstTokens: [Double] = []
    private var betweenTokens: [Double] = []
    private let start = ContinuousClock.now
    private var now: Double { (ContinuousClock.now - start) / .seconds(1) }

    /// - Parameter seconds: how long texts come.
    init(_ model: Model, places: Int, seconds: Double) throws {
        (self.model, self.seconds) = (model, seconds)
        context = min(model.config.contextLength, 512)
        batch = try Batch(model, places: places, soakOptions(model, context: context))
    }

    mutating func run() throws {
        let capacity = try capacity(for: max(seconds / 4, 2))
        let rate = capacity * Self.load
        report(
            "\(batch.places) places: \(rounded(capacity)) texts/s at most; \(rounded(rate)) texts/s come for \(Int(seconds)) s"
        )
        let begin = now
        var next = begin + gap(rate)
        var memory: [Int] = []
        var busy = 0.0, texts = 0, mostOpen = 0
        while now < begin + seconds || !batch.isIdle {
            let time = now
            while next <= time, next < begin + seconds {
                try add(at: next)
                texts += 1
                next += gap(rate)
            }
            if memory.count < 4, time >= begin + seconds * Double(memory.count + 1) / 4 {
                memory.append(residentMemory())
            }
            mostOpen = max(mostOpen, open.count)
            if batch.isIdle {
                usleep(UInt32(max(min(min(next, begin + seconds) - time, 0.1), 0) * 1e6))
            } else {
                try take(batch.step())
                busy += now - time
            }
        }
        while memory.count < 4 { memory.append(residentMemory()) }
        report(
            "\(texts) texts, \(mostOpen) at a time at most; at work \(Int(100 * busy / (now - begin))) % of the time")
        report("to the first token: \(percentiles(firstTokens)); between tokens: \(percentiles(betweenTokens))")
        report("resident memory at the quarters: \(memory.map(String.init).joined(separator: ", ")) kB")
    }

    /// Texts a second with all places taken all the time.
    private mutating func capacity(for seconds: Double) throws -> Double {
        // At first all texts are at their beginnings, and none ends.
        var left = batch.places
        while left > 0 { left -= try stepWithAllPlaces() }
        let begin = now
        var finished = 0
        while now < begin + seconds || finished < batch.places { finished += try stepWithAllPlaces() }
        let texts = Double(finished) / (now - begin)
        for id in open.keys { batch.cancel(id) }
        while !batch.isIdle { try take(batch.step()) }
        (firstTokens, betweenTokens) = ([], [])
        return texts
    }

    private mutating func stepWithAllPlaces() throws -> Int {
        while batch.hasPlace { try add(at: now) }
        return try take(batch.step())
    }

    private mutating func add(at time: Double) throws {
        var job = SoakJob(model, prompts: 8...context / 2, lengths: 8...context / 4, &random)
        job.options.stop = []
        open[try batch.add(job.prompt, job.options)] = Open(arrival: time)
    }

    /// - Returns: how many texts have ended.
    @discardableResult
    private mutating func take(_ outputs: [Batch.Output]) throws -> Int {
        let time = now
        var ended = 0
        for output in outputs {
            if let error = output.error { throw error }
            var text = open[output.id]!
            if output.tokens > text.tokens {
                if let last = text.last {
                    betweenTokens.append(time - last)
                } else {
                    firstTokens.append(time - text.arrival)
                }
                (text.last, text.tokens) = (time, output.tokens)
            }
            open[output.id] = output.isLast ? nil : text
            if output.isLast { ended += 1 }
        }
        return ended
    }

    /// Seconds to the next text; exponentially distributed.
    private mutating func gap(_ rate: Double) -> Double {
        -log(Double.random(in: Double.ulpOfOne..<1, using: &random)) / rate
    }

    private func rounded(_ x: Double) -> Double { (x * 100).rounded() / 100 }

    private func percentiles(_ seconds: [Double]) -> String {
        guard !seconds.isEmpty else { return "none" }
        let sorted = seconds.sorted()
        func milliseconds(_ share: Double) -> Double { rounded(1000 * sorted[Int(Double(sorted.count - 1) * share)]) }
        return "median \(milliseconds(0.5)) ms, 99 % \(milliseconds(0.99)) ms (\(sorted.count))"
    }
}
