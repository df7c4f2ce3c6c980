import TinySparse
let model = try Model(path: CommandLine.arguments[1])
let mode = CommandLine.arguments[2]
if mode == "ppl" {
  let session = try Session(model, .init(context: 512))
  let file = try MappedFile(path: CommandLine.arguments[3])
  let text = withExtendedLifetime(file) { String(decoding: file.bytes, as: UTF8.self) }
  let p = try session.perplexity(of: text, context: 512, chunks: Int(CommandLine.arguments[4])!) { print($0, $2.value); return true }
  print(p.value, p.standardError)
} else if mode == "bench" {
  for t in [1, 2] {
    let session = try Session(model, .init(threads: t, context: 512))
    let c = ContinuousClock()
    for r in 0..<5 {
      session.rewind(to: 0)
      let ids = (0..<128).map { Int32($0 * 37 % 4000 + 100) }
      let p = try c.measure { try session.read(ids) }
      session.rewind(to: 1)
      let d = try c.measure { for i in 0..<64 { try session.read([ids[i]]) } }
      func s(_ d: Duration) -> Double { Double(d.components.attoseconds) * 1e-18 + Double(d.components.seconds) }
      print(t, "prefill", Int(128 / s(p)), "decode", Int(64 / s(d)), "rep", r)
    }
  }
} else {
let session = try Session(model, .init(context: 512))
var o = GenerationOptions(); o.sampling = .greedy; o.maxTokens = 64
try session.generate(CommandLine.arguments[3], o) { print($0, terminator: ""); return true }
print()
}
