// SPDX-License-Identifier: Apache-2.0

import Foundation
import TinySparse
import XCTest

/// Chat templates: what they write is what jinja2 writes, set up as transformers does (Fixtures/templates).
final class TemplateTests: XCTestCase {
    /// The moment at which the fixtures were made.
    static let time = TemplateTime(year: 2024, month: 7, day: 26, hour: 15, minute: 4, second: 5)

    private func fixture(_ path: String) throws -> JSON {
        try JSON.parse([UInt8](Data(contentsOf: URL(fileURLWithPath: path))))
    }

    private func committed(_ name: String) throws -> JSON {
        try fixture(Tool.root + "/Tests/EndToEndTests/Fixtures/templates/" + name)
    }

    // MARK: - Oracle

    /// Each rule of the language.
    func testSnippetsEqualJinja() throws {
        let fixture = try committed("snippets.json")
        let data = try XCTUnwrap(fixture["data"]?.object).map { (name: $0.key, value: try Value($0.value)) }
        let snippets = try XCTUnwrap(fixture["snippets"]?.array)
        XCTAssertGreaterThan(snippets.count, 600)
        for snippet in snippets {
            let source = try XCTUnwrap(snippet.array?.first?.string)
            let text = try? Template(source).render(data, time: Self.time).text
            XCTAssertEqual(text.map { Array($0.utf8) }, snippet.array?.last?.string.map { Array($0.utf8) }, source)
        }
    }

    /// Templates in the manner of well-known families, with every kind of conversation.
    func testRenderingsEqualTransformers() throws {
        let count = try compareRenderings(committed("renderings.json"))
        XCTAssertGreaterThan(count, 300)
    }

    /// Other people's templates, which are not part of this repository: Fixtures/templates/README.md.
    func testOtherRenderingsEqualTransformers() throws {
        guard let path = ProcessInfo.processInfo.environment["TINYSPARSE_RENDERINGS"] else {
            print("SKIPPED: TINYSPARSE_RENDERINGS names no fixture of other templates")
            return
        }
        print("\(try compareRenderings(fixture(path))) renderings are equal")
    }

    private func compareRenderings(_ fixture: JSON) throws -> Int {
        let tokens = try XCTUnwrap(fixture["tokens"]?.object).map { (name: $0.key, text: $0.value.string ?? "") }
        let conversations = try XCTUnwrap(fixture["conversations"]?.array)
        var count = 0
        for template in try XCTUnwrap(fixture["templates"]?.array) {
            let source = try XCTUnwrap(template["source"]?.string)
            let texts = try XCTUnwrap(template["texts"]?.array)
            XCTAssertEqual(texts.count, conversations.count)
            for (json, expected) in zip(conversations, texts) {
                let text = Result {
                    var conversation = try Conversation(json: XCTUnwrap(json["request"]))
                    conversation.time = Self.time
                    return try ChatTemplate(jinja: source).render(conversation, tokens: tokens).text
                }
                let name = "\(template["name"]?.string ?? ""), \(json["name"]?.string ?? ""): \(text)"
                XCTAssertEqual((try? text.get()).map { Array($0.utf8) }, expected.string.map { Array($0.utf8) }, name)
                count += 1
            }
        }
        return count
    }

    // MARK: - Refusals

    /// What there is not is refused by name, with the line.
    func testWhatIsNotUnderstoodIsNamed() throws {
        for (source, description) in [
            ("\n{% include 'x' %}", "line 2: the tag {% include %}: not supported"),
            ("{% block x %}{% endblock %}", "line 1: the tag {% block %}: not supported"),
            ("{% for x in y recursive %}{% endfor %}", "line 1: a recursive loop: not supported"),
            ("{{ x }}\n\n{{ x | nosuch }}", "line 3: there is no filter 'nosuch'"),
            ("{{ 1 is nosuch }}", "line 1: there is no test 'nosuch'"),
            ("{{ 1 | urlencode }}", "line 1: the filter 'urlencode'"),
            ("{{ 'a'.encode() }}", "line 1: 'encode' of str"),
            ("{{ cycler(1) }}", "line 1: the function 'cycler'"),
            ("{{ x.y }}", "line 1: 'x' is undefined"),
            ("{{ {}.y.z }}", "line 1: a value of the type dict has no 'y'"),
            ("{% if 1 %}", "line 1: there is no {% endif %} for this tag"),
            ("a\n{# b", "line 2: the comment is not closed by '#}'"),
            ("{{ 9223372036854775807 + 1 }}", "line 1: an integer does not fit in 64 bits"),
            ("{{ 1 // 0 }}", "line 1: division by zero"),
            ("\n{{ raise_exception('not that') }}", "line 2: not that"),
            (
                "{{ [].append(1) }}",
                "line 1: 'append' would change a list, which the sandbox of chat templates forbids"
            ),
        ] {
            XCTAssertThrowsError(try Template(source).render([], time: Self.time), source) {
                XCTAssertEqual("\($0)", description)
            }
        }
    }

    func testInputsThatAreNoneAreRefused() {
        for (json, reason) in [
            ("5", "messages: a list is needed"), ("{}", "the messages are missing"),
            ("[1]", "messages: a message is no object"),
            (#"{"messages": [], "add_generation_prompt": 1}"#, "add_generation_prompt: true or false is needed"),
            ("[", "JSON: unexpected end of text at byte 1"),
        ] {
            XCTAssertThrowsError(try Conversation(json: json)) { XCTAssertEqual("\($0)", reason) }
        }
        let large = Conversation([ChatMessage(role: "user", content: "")])
        XCTAssertThrowsError(
            try {
                var large = large
                try large.set("x", toJSON: "12345678901234567890")
                _ = try ChatTemplate.named("plain").render(large, tokens: [])
            }()
        ) { XCTAssertEqual(($0 as? TemplateError)?.kind, .input) }
    }

    // MARK: - Limits

    /// Templates without end and without measure: a typed error, soon, also on a thread with little stack.
    func testTemplatesAreBounded() throws {
        let chain = { (part: String, count: Int) in String(repeating: part, count: count) }
        let sources = [
            "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
            "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
            "{% macro m(x) %}{% for y in [1] %}{% if y %}{{ m([x]) }}{% endif %}{% endfor %}{% endmacro %}{{ m(1) }}",
            "{% set ns = namespace(s='ab') %}{% for i in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
            "{% set ns = namespace(s=[1]) %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
            "{% set ns = namespace(s=1) %}{% for i in range(999) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}",
            "{% set ns = namespace(s=1) %}{% for i in range(90) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s }}",
            "{% set ns = namespace(s=1) %}{% for i in range(90) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s|tojson }}",
            "{% set ns = namespace(s=1, t=1) %}{% for i in range(60) %}{% set ns.s = [ns.s, ns.s] %}"
                + "{% set ns.t = [ns.t, ns.t] %}{% endfor %}{{ ns.s == ns.t }}",
            "{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}",
            "{{ 'a' * 999999999 }}", "{{ 'a' * 9223372036854775807 }}", "{{ [1] * 9223372036854775807 }}",
            "{{ 'a'.ljust(999999999) }}", "{{ 'a'.center(9223372036854775807) }}", "{{ 'a\nb'|indent(999999999) }}",
            "{{ [1]|tojson(indent=999999999) }}", "{{ [1]|batch(999999999, 0)|list }}",
            "{{ [1]|slice(999999999)|list }}",
            "{{ ('a' * 9999999).replace('a', 'b' * 9999) }}", "{{ ('a' * 9999999).replace('', 'bbbbbbbbbbbbb') }}",
            "{{ ('a' * 9999999)|list|length }}", "{{ (',' * 9999999).split(',')|length }}",
            "{{ range(100001) }}", "{{ 2 ** 9999999 }}", "{{ 10.0 ** 999 }}",
            "{{ " + chain("[", 500) + chain("]", 500) + " }}",
            "{{ " + chain("(", 500) + "1" + chain(")", 500) + " }}", "{{ " + chain("-", 9999) + "1 }}",
            "{{ " + chain("1 if 1 else ", 999) + "1 }}", chain("{% if 1 %}", 500) + chain("{% endif %}", 500),
            "{% for " + chain("(", 500) + "a" + chain(")", 500) + " in [] %}{% endfor %}",
            "{% set x %}" + chain("{% for x in [1] %}", 500), chain("{% macro m() %}", 500),
            "{{ " + chain("a(", 500), "{{ " + chain("a[", 500), "{{ " + chain("{1:", 500),
            "{{ " + chain("x is eq(", 500), "{{ " + chain("x|default(", 500),
            "{{ " + chain("1 or 1 and 1 < 1 + 1 ~ 1 * 1 ** [", 500),
            "{% macro m(x=m()) %}{% endmacro %}{{ m() }}",
            "{% macro m() %}{{ -m() + (not m()) }}{% endmacro %}{{ m() }}",
            "{% macro m() %}{% for a in [1] if m() %}{% endfor %}{% endmacro %}{{ m() }}",
            "{% macro m() %}{% set a = (1 if m() else 2)[m():] %}{% endmacro %}{{ m() }}",
            "{% macro m() %}{{ [1]|map('default', m() is eq(m()))|list }}{% endmacro %}{{ m() }}",
            "{% macro m() %}{{ caller() }}{% endmacro %}{% macro n() %}{% call m(n()) %}{{ n() }}{% endcall %}"
                + "{% endmacro %}{{ n() }}",
            "{% macro m(x) %}{% set q %}{% filter upper %}{% with %}{% if 1 or 2 %}{{ [[{'a': m(*[x]) ~ 'a'}]] }}{% endif %}"
                + "{% endwith %}{% endfilter %}{% endset %}{% endmacro %}{{ m(1) }}",
        ]
        for source in sources { onSmallStack { Self.refuse(source, workShift: 0) } }
        // Seconds each, so with a part of the work that is allowed.
        for source in Self.longOperands { onSmallStack { Self.refuse(source, workShift: 4) } }
    }

    /// Operations whose time depends on their operands' length and not on that of their results.
    private static let longOperands: [String] = {
        func repeated(_ expression: String) -> String {
            "{% for i in range(99999) %}{{ \(expression) }}{% endfor %}"
        }
        let texts = [
            "s|wordcount", "s is lower", "s is upper", "s|int", "s|float", "s is filter", "s is test", "d[s]",
            "d.get(s)",
            "s in d", "'x'|attr(s)", "'x'.strip(s)", "[1]|map(attribute=s)|list", "[s, s]|unique|list|length",
            "{s: 1} == {s: 1}", "dict([(s, 1)])|length", "namespace({s: 1}) is none",
        ]
        let lists = [
            "l|select|list", "l|select('none')|list", "l|rejectattr('x', 'none')|list", "l|join", "''.join(l)",
            "l|unique|list", "l|max", "s.startswith(t)", "s.endswith(t)",
        ]
        return texts.map { "{% set s = 'a' * 1000000 %}{% set d = {'x': 1} %}" + repeated($0) }
            + lists.map {
                "{% set l = [''] * 20000 %}{% set s = 'a' * 20000 %}{% set t = (s ~ 'b', 'b' ~ s) * 10000 %}"
                    + repeated($0)
            }
            + [
                "{% set s = '\\n' * 1000000 %}" + repeated("(s|indent(0))[:0]"),
                "{{ " + String(repeating: "a", count: 1001) + " }}",
            ]
    }()

    private static func refuse(_ source: String, workShift: Int) {
        let start = ContinuousClock.now
        do throws(TemplateError) {
            var limits = TemplateLimits()
            limits.work >>= TestTier.isFull ? workShift : 7
            _ = try Template(source).render([], time: time, limits: limits)
            XCTFail("not refused: \(source.prefix(80))")
        } catch {
            XCTAssert([.limit, .value].contains(error.kind), "\(source.prefix(80)): \(error)")
        }
        let seconds = (ContinuousClock.now - start).components.seconds
        XCTAssertLessThan(seconds, 60, "\(source.prefix(80))")
    }

    /// Names are looked up, however many there are.
    func testManyNames() throws {
        let count = 100_000
        var members = Mapping()
        for number in 0..<count { members.set("k\(number)", .integer(number)) }
        let names = (0..<count).map { "k\($0)" }
        let list = names.joined(separator: ",")
        let named = names.map { "\($0)=7" }.joined(separator: ",")
        for (source, text) in [
            ("{% macro m() %}{{ kwargs|length }}{% endmacro %}{{ m(**d) }}", "\(count)"),
            ("{% macro m(\(list)) %}{{ k99998 }}{% endmacro %}{{ m(**d) }}", "99998"),
            ("{% macro m(\(list)) %}{{ kwargs|list }}{% endmacro %}{{ m(z=1, a=2, **d) }}", "['z', 'a']"),
            ("{{ dict(\(named)).k3 }}", "7"),
            (
                "{% set \(list) = d.values() %}{% for i in range(99999) %}{% if k99998 %}{% endif %}{% endfor %}{{ k5 }}",
                "5"
            ),
            ("{% set l = [1] * 99999 %}{% for i in l %}{% for j in l %}{% break %}{% endfor %}{% endfor %}x", "x"),
        ] {
            let start = ContinuousClock.now
            XCTAssertEqual(
                try Template(source).render([("d", .dictionary(members))], time: Self.time).text, text,
                "\(source.prefix(40))")
            XCTAssertLessThan((ContinuousClock.now - start).components.seconds, 60, "\(source.prefix(40))")
        }
    }

    /// Long chains are flat and may be long.
    func testLongChainsAreNoNesting() throws {
        for (source, text) in [
            ("{{ 0" + String(repeating: " + 1", count: 5000) + " }}", "5000"),
            (
                "{{ ''" + String(repeating: " ~ 'a'", count: 5000) + "|upper }}",
                String(repeating: "a", count: 4999) + "A"
            ),
            ("{{ 'a'" + String(repeating: "|upper", count: 5000) + " }}", "A"),
            ("{{ 1" + String(repeating: " and 1", count: 5000) + " }}", "1"),
            ("{{ " + String(repeating: "not ", count: 5001) + "1 }}", "False"),
            ("{% if 0 %}" + String(repeating: "{% elif 0 %}", count: 5000) + "{% else %}x{% endif %}", "x"),
        ] {
            XCTAssertEqual(try Template(source).render([], time: Self.time).text, text)
        }
    }

    /// Runs `body` on a thread with 512 KiB of stack, as Dispatch's threads have.
    private func onSmallStack(_ body: @escaping @Sendable () -> Void) {
        let thread = Thread(block: body)
        thread.stackSize = 512 << 10
        thread.start()
        while !thread.isFinished { usleep(1000) }
    }
}
