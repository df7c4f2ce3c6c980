import TinySparse
let model = try Model(path: CommandLine.arguments[1])
let session = try Session(model, .init(threads: 1, context: 512))
if CommandLine.arguments.count > 3 {
  let text = String(decoding: try MappedFile(path: CommandLine.arguments[2]).bytes, as: UTF8.self)
  let p = try session.perplexity(of: text, context: 512, chunks: Int(CommandLine.arguments[3])!) { print($0, $2.value); return true }
  print(p.value, p.standardError)
} else {
var o = GenerationOptions(); o.sampling = .greedy; o.maxTokens = 64
try session.generate(CommandLine.arguments[2], o) { print($0, terminator: ""); return true }
print()
}
