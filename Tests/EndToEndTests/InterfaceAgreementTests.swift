// SPDX-License-Identifier: Apache-2.0

import TinySparse
import TinySparseC
import XCTest

/// One conversation has the same tokens, and one text the same end, whichever interface is used: `run --chat`, `chat`, `batch`,
/// the functions for C with a session and with a batch, the library.
final class InterfaceAgreementTests: XCTestCase {
    private static let model = Tool.fixture("tiny-llama.gguf")
    private let directory = TemporaryDirectory()

    // MARK: - Framing

    /// The prompt's own control tokens, none from the messages, and what the template is told, everywhere.
    func testAConversationHasTheSameTokensEverywhere() throws {
        let source = """
            {% for m in messages %}<|endoftext|>{{ m.role ~ '/' ~ style ~ ': ' ~ m.content | trim }}
            {% endfor %}{% if add_generation_prompt %}bot: {% endif %}
            """
        let (system, user) = (" Be <|endoftext|> brief. ", "Hé <|endoftext|>\t\"you\"")
        let messages = [ChatMessage(role: "system", content: system), ChatMessage(role: "user", content: user)]
        let ids = try tokens(of: Conversation(messages), source, style: "short")
        let control = try XCTUnwrap(Model(path: Self.model).tokenizer.id(of: "<|endoftext|>"))
        XCTAssertEqual(ids.filter { $0 == control }.count, 2)

        let template = directory.write(Array(source.utf8), "chat.jinja")
        let framing = ["--template", template, "--template-arg", #"style="short""#, "--system", system]
        XCTAssertEqual(try tokensRead(by: "run", ["--chat"] + framing + ["--", user], input: ""), ids)
        XCTAssertEqual(try tokensRead(by: "chat", framing, input: user + "\n"), ids)

        let json = [("system", system), ("user", user)].map { role, content in
            #"{"role": "\#(role)", "content": \#(JSON.quoted(content))}"#
        }
        try assertRequestsRead(
            ids, messages: "[\(json.joined(separator: ", "))]", arguments: #"{"style": "short"}"#, source)
    }

    /// Calls of tools, their results and what was thought reach the template, and so do the tools.
    func testToolsAndThinkingReachTheTemplateEverywhere() throws {
        let source = """
            {{ style }}{{ tools[0].name }}{% for m in messages %}<|endoftext|>{{ m.role[0] ~ m.reasoning_content }}\
            {{ m.tool_calls | tojson if m.tool_calls }}{{ m.tool_call_id ~ m.content }}{% endfor %}
            """
        let messages = #"""
            [{"role": "user", "content": "Weather?"},
             {"role": "assistant", "content": "", "reasoning_content": "Hm.", "tool_calls":
               [{"id": "c1", "function": {"name": "sky"}}]},
             {"role": "tool", "tool_call_id": "c1", "content": "blue"}]
            """#
        let tools = #"[{"name": "look"}]"#
        var conversation = try Conversation(json: messages)
        try conversation.set("tools", toJSON: tools)
        let ids = try tokens(of: conversation, source, style: "x")
        let text = try Model(path: Self.model).tokenizer.decode(ids, skipSpecial: false)
        for part in ["xlook", "aHm.", #"{"name": "sky"}"#, "tc1blue"] {
            XCTAssert(text.contains(part), "\(part) is not in \(text)")
        }
        try assertRequestsRead(
            ids, messages: messages.replacing("\n", with: ""), arguments: #"{"style": "x"}"#, tools: tools, source)
    }

    /// The library's tokens of a conversation whose template is told a style.
    private func tokens(of conversation: Conversation, _ source: String, style: String) throws -> [Int32] {
        var conversation = conversation
        try conversation.set("style", toJSON: JSON.quoted(style))
        return try Model(path: Self.model).tokenizer.encode(conversation, template: ChatTemplate(jinja: source))
    }

    /// The tokens that a command has read before it wrote anything, as its prompt cache has them.
    private func tokensRead(by command: String, _ options: [String], input: String) throws -> [Int32] {
        let cache = directory.path + "/" + command + ".cache"
        let common = [command, "-m", Self.model, "-t", "1", "-n", "1", "--prompt-cache", cache]
        let result = try Tool.run(Tool.tinysparse, common + options, input: input)
        XCTAssertEqual(result.code, 0, result.errors)
        return try SavedState(path: cache, of: Model(path: Self.model)).tokens
    }

    /// Messages in the options of the functions for C, and in a line of `batch`, are read as these tokens.
    private func assertRequestsRead(
        _ ids: [Int32], messages: String, arguments: String, tools: String = "null", _ source: String
    ) throws {
        let members =
            #""messages": \#(messages), "tools": \#(tools), "template_args": \#(arguments), "#
        let sampling = #""max_tokens": 12, "seed": 5"#
        // What follows these tokens; with random weights other tokens have another text.
        let session = try Session(Model(path: Self.model), .init(threads: 1))
        var options = GenerationOptions()
        (options.maxTokens, options.sampling.seed) = (12, 5)
        var generation = try session.generation(prompt: ids, options)
        var text = ""
        while let piece = try generation.next() { text += piece }

        let request = "{\(members)\"chat_template\": \(JSON.quoted(source)), \(sampling)}"
        let read = "{\(members)\"chat_template\": \(JSON.quoted(source)), \"max_tokens\": 0}"
        XCTAssertEqual(try tokensReadByC(read), ids)
        XCTAssertEqual(try textOfC("", request), text)
        XCTAssertEqual(try textOfCBatch("", request), text)

        let template = directory.write(Array(source.utf8), "batch.jinja")
        let line = try batchAnswer("{\(members)\(sampling)}", ["--template", template])
        XCTAssertEqual(line["text"]?.string, text)
        XCTAssertEqual(line["prompt_tokens"]?.integer, Int64(ids.count))
    }

    // MARK: - Ends

    /// A text that is cut between the bytes of a character, and one that stops at a text of several tokens.
    func testATextEndsAlikeEverywhere() throws {
        // One token more than whole characters have.
        try assertTextEverywhere("éé", #""regex": "é{9}", "max_tokens": 5"#) {
            ($0.constraint, $0.maxTokens) = (try .regularExpression("é{9}"), 5)
        } command: {
            ["--regex", "é{9}", "-n", "5"]
        } check: { pieces in
            XCTAssertEqual(pieces.map(\.count), [1, 1, 1, 1, 1])
        }
        try assertTextEverywhere("x", #""regex": "xéaéy", "stop": ["nothing", "éaé"]"#) {
            ($0.constraint, $0.stop) = (try .regularExpression("xéaéy"), ["nothing", "éaé"])
        } command: {
            ["--regex", "xéaéy", "--stop", "nothing", "--stop", "éaé"]
        } check: { pieces in
            XCTAssertGreaterThan(pieces.count, 3)
            XCTAssert(pieces.allSatisfy { $0.count < "éaé".utf8.count }, "one token has the whole stop string")
        }
    }

    /// - Parameters:
    ///   - json: the options of the text in JSON; `command`: the same ones for the command line.
    ///   - check: gets the bytes of the text's tokens.
    private func assertTextEverywhere(
        _ text: String, _ json: String, _ change: (inout GenerationOptions) throws -> Void, command: () -> [String],
        check: ([[UInt8]]) -> Void
    ) throws {
        let prompt = "Once"
        let session = try Session(Model(path: Self.model), .init(threads: 1))
        var options = GenerationOptions()
        try change(&options)
        var generation = try session.generation(prompt: session.model.tokenizer.encode(prompt), options)
        var pieces: [String] = []
        while let piece = try generation.next() { pieces.append(piece) }
        XCTAssertEqual(pieces.joined(), text)
        check(generation.generated.map { session.model.tokenizer.piece(of: $0) })

        let common = ["-m", Self.model, "-t", "1", "--seed", "0"] + command()
        let run = try Tool.run(Tool.tinysparse, ["run"] + common + ["--", prompt])
        XCTAssertEqual(run.output, text + "\n", run.errors)
        let chat = try Tool.run(
            Tool.tinysparse, ["chat"] + common + ["--template", "plain"], input: prompt + "\n")
        XCTAssertEqual(chat.output, text + "\n", chat.errors)
        XCTAssertEqual(try batchAnswer(#"{"prompt": "\#(prompt)", \#(json)}"#, [])["text"]?.string, text)
        XCTAssertEqual(try textOfC(prompt, "{\(json)}"), text)
        XCTAssertEqual(try textOfCBatch(prompt, "{\(json)}"), text)
    }

    // MARK: - Interfaces

    private func batchAnswer(_ line: String, _ options: [String]) throws -> JSON {
        let result = try Tool.run(
            Tool.tinysparse, ["batch", "-m", Self.model, "-t", "1"] + options, input: line + "\n")
        XCTAssertEqual(result.code, 0, result.errors)
        return try JSON.parse(Array(result.output.utf8))
    }

    /// Pieces of a text as the functions for C hand them over.
    private final class Text {
        var bytes: [UInt8] = []
        var pointer: UnsafeMutableRawPointer { Unmanaged.passUnretained(self).toOpaque() }

        static func append(_ piece: UnsafePointer<CChar>?, _ size: Int, to context: UnsafeMutableRawPointer?) {
            let bytes = UnsafeBufferPointer(start: piece, count: size).map { UInt8(bitPattern: $0) }
            XCTAssertNotNil(String(validating: bytes, as: UTF8.self), "a piece is cut within a character")
            Unmanaged<Text>.fromOpaque(context!).takeUnretainedValue().bytes += bytes
        }
    }

    private func withCSession<Result>(_ body: (OpaquePointer) throws -> Result) throws -> Result {
        let model = try XCTUnwrap(tinysparseModelOpen(Self.model, nil, nil, 0))
        defer { tinysparseModelClose(model) }
        let session = try XCTUnwrap(tinysparseSessionOpen(model, #"{"threads": 1}"#, nil, nil, 0))
        defer { tinysparseSessionClose(session) }
        return try body(session)
    }

    private func tokensReadByC(_ options: String) throws -> [Int32] {
        let file = directory.path + "/c.state"
        try withCSession { session in
            XCTAssertEqual(tinysparseGenerate(session, "", 0, options, nil, nil, nil, nil, 0), 0)
            XCTAssertEqual(tinysparseSave(session, file, nil, 0), 0)
        }
        return try SavedState(path: file, of: Model(path: Self.model)).tokens
    }

    private func textOfC(_ prompt: String, _ options: String) throws -> String {
        let text = Text()
        try withCSession { session in
            let status = tinysparseGenerate(
                session, prompt, prompt.utf8.count, options,
                { piece, size, context in
                    Text.append(piece, size, to: context)
                    return 1
                }, text.pointer, nil, nil, 0)
            XCTAssertEqual(status, 0)
        }
        return String(decoding: text.bytes, as: UTF8.self)
    }

    private func textOfCBatch(_ prompt: String, _ options: String) throws -> String {
        let model = try XCTUnwrap(tinysparseModelOpen(Self.model, nil, nil, 0))
        defer { tinysparseModelClose(model) }
        let batch = try XCTUnwrap(tinysparseBatchOpen(model, #"{"threads": 1, "places": 2}"#, nil, nil, 0))
        defer { tinysparseBatchClose(batch) }
        let text = Text()
        XCTAssertEqual(tinysparseBatchAdd(batch, prompt, prompt.utf8.count, options, nil, nil, 0), 0)
        while tinysparseBatchIsIdle(batch) == 0 {
            let status = tinysparseBatchStep(
                batch,
                { _, piece, size, _, context in
                    Text.append(piece, size, to: context)
                    return 1
                }, text.pointer, nil, 0)
            guard status == 0 else { throw XCTestError(.failureWhileWaiting) }
        }
        return String(decoding: text.bytes, as: UTF8.self)
    }
}
