// SPDX-License-Identifier: Apache-2.0

import TinySparse

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

func modelPath() -> String { getenv("TINYSPARSE_MODEL").map { String(cString: $0) } ?? "tiny-llama.gguf" }

#if LIBFUZZER
@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
    _ count: UnsafeMutablePointer<Int32>,
    _ words: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
    _ body: @convention(c) (UnsafePointer<UInt8>?, Int) -> Int32
) -> Int32

private let target = FuzzTarget(rawValue: getenv("TINYSPARSE_FUZZ").map { String(cString: $0) } ?? "") ?? .gguf

/// What libFuzzer calls with every input; the environment's TINYSPARSE_FUZZ names the target.
@c(LLVMFuzzerTestOneInput)
public func fuzzOneInput(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    target.read(Array(UnsafeBufferPointer(start: bytes, count: count)))
    return 0
}

/// SwiftPM wants a main of its own, which only calls libFuzzer's. See docs/HARDENING.md.
@main
enum FuzzMain {
    static func main() {
        var count = CommandLine.argc
        var words = CommandLine.unsafeArgv
        exit(runDriver(&count, &words, fuzzOneInput))
    }
}
#else
/// The same drivers without libFuzzer: the files given, then mutations of them, always the same ones.
///
///     TinyFuzz TARGET COUNT FILE...
@main
enum FuzzMain {
    static func main() {
        let arguments = CommandLine.arguments
        guard arguments.count > 3, let target = FuzzTarget(rawValue: arguments[1]), let count = Int(arguments[2]) else {
            print("usage: TinyFuzz \(FuzzTarget.allCases.map(\.rawValue).joined(separator: "|")) COUNT FILE...")
            exit(2)
        }
        do {
            let seeds = try arguments[3...].map { try MappedFile(path: $0).contents }
            for seed in seeds { target.read(seed) }
            var random = SplitMix64(state: 1)
            for number in 0..<count { target.read(random.mutation(of: seeds[number % seeds.count])) }
            print("\(target.rawValue): \(seeds.count) files and \(count) mutations, no crash")
        } catch {
            print(error)
            exit(1)
        }
    }
}

extension SplitMix64 {
    /// Deterministic damage.
    mutating func mutation(of input: [UInt8]) -> [UInt8] {
        var bytes = input
        for _ in 0..<Int.random(in: 1...4, using: &self) where bytes.count > 1 {
            // Headers come first.
            let end = Bool.random(using: &self) ? bytes.count : min(bytes.count, 4096)
            let place = Int.random(in: 0..<end, using: &self)
            let length = min(Int.random(in: 1...32, using: &self), bytes.count - place)
            switch Int.random(in: 0..<5, using: &self) {
            case 0: bytes[place] = UInt8.random(in: 0...255, using: &self)
            case 1: bytes[place] ^= 1 << UInt8.random(in: 0...7, using: &self)
            case 2: bytes.removeSubrange(place..<place + length)
            case 3: bytes.insert(contentsOf: bytes[place..<place + length], at: place)
            default: for i in place..<place + length { bytes[i] = [0, 0x7F, 0x80, 0xFF][length & 3] }
            }
        }
        return bytes
    }
}
#endif
