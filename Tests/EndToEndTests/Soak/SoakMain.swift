// SPDX-License-Identifier: Apache-2.0

import TinySparse

/// Batches under load, for hours if need be: docs/HARDENING.md.
///
///     TinySoak texts MODEL [COUNT] [PLACES]         random texts, cancellations and refusals; each text as it is alone
///     TinySoak arrivals MODEL [SECONDS] [PLACES]    texts that come at 70 % of what the machine can do; how long they wait
///
/// Exits with 1 if a text is another one than alone, or if memory grows.
@main
enum SoakMain {
    static func main() {
        let words = CommandLine.arguments
        let number = words.count > 3 ? Int(words[3]) : nil, places = words.count > 4 ? Int(words[4]) : 16
        guard 3...5 ~= words.count, words.count < 4 || number ?? 0 > 0, let places,
            ["texts", "arrivals"].contains(words[1])
        else {
            print("usage: TinySoak texts MODEL [COUNT] [PLACES]\n       TinySoak arrivals MODEL [SECONDS] [PLACES]")
            exit(2)
        }
        do {
            let model = try Model(path: words[2])
            if words[1] == "texts" {
                var soak = try TextSoak(model, places: places, count: number ?? 2000)
                try soak.run()
            } else {
                var arrivals = try Arrivals(model, places: places, seconds: Double(number ?? 60))
                try arrivals.run()
            }
        } catch {
            print("failed: \(error)")
            exit(1)
        }
    }
}

/// Prints a line at once, also to a pipe.
func report(_ line: String) {
    print(line)
    fflush(nil)
}

/// What a soak found.
struct SoakFailure: Error, CustomStringConvertible {
    let description: String
}
