// SPDX-License-Identifier: Apache-2.0

import TinySparse
import XCTest

/// What JSON schemas describe, and what of them is refused.
final class SchemaConstraintTests: XCTestCase {
    func testStringsAndNumbers() {
        let cases: [(String, [String], [String])] = [
            (
                #"{"type": "string"}"#, [#""""#, #""aé\"\\\n\u00e9\uD7FF""#, "\"\u{1F600}\u{7F}\""],
                ["\"a", "\"\n\"", #""\x""#, #""\uD800""#]
            ),
            (
                #"{"type": "string", "minLength": 1, "maxLength": 2}"#, [#""a""#, #""é\n""#, #""\u0041\u00e9""#],
                [#""""#, #""abc""#, #""ab\n""#]
            ),
            (
                #"{"type": "integer"}"#, ["0", "-0", "17", "-9999999999999999"],
                ["01", "1.0", "+1", "12345678901234567", "1e2", ""]
            ),
            (#"{"type": "number"}"#, ["0", "-1.5", "2e10", "0.25E-7"], [".5", "1.", "1e", "01.5", "1e100"]),
            (#"{"type": ["boolean", "null"]}"#, ["true", "false", "null"], ["True", "0"]),
            (#"{"const": "a\"é"}"#, [#""a\"é""#], [#""a""#]),
            (#"{"enum": [1, 2.5, null, {"b": [1]}]}"#, ["1", "2.5", "null", #"{"b":[1]}"#], ["2"]),
            (#"{"enum": [1, "a", 2.5], "type": ["string", "integer"]}"#, ["1", "\"a\""], ["2.5"]),
            (#"{"enum": [1, 2, 3], "const": 2.0}"#, ["2.0"], ["1", "3"]),
            (#"{"minimum": 3, "type": "integer"}"#, ["3", "10", "9999999999999999"], ["2", "-3", "0"]),
            (
                #"{"exclusiveMaximum": 9223372036854775807, "minimum": 5, "type": "integer"}"#,
                ["5", "9999999999999999"], ["4"]
            ),
            (
                #"{"type": "number", "minimum": 0, "maximum": 1}"#, ["0", "0.5", "1", "1.00", "0.999999"],
                ["1.1", "-0.1", "2"]
            ),
            (#"{"type": "number", "exclusiveMinimum": 0}"#, ["0.000001", "1", "5.5"], ["0", "0.0", "-1"]),
            (
                #"{"type": "number", "exclusiveMinimum": -3, "exclusiveMaximum": -1}"#, ["-2", "-2.9", "-1.000001"],
                ["-3", "-1", "-1.0", "2"]
            ),
            (#"{"type": "number", "maximum": -2}"#, ["-2", "-2.0", "-2.1", "-300"], ["-1.9", "2", "0"]),
        ]
        for (schema, good, bad) in cases { check(try .jsonSchema(schema), accepts: good, refuses: bad, schema) }
    }

    /// Whole numbers between any bounds are exactly those.
    func testBoundsOfIntegers() throws {
        var random = SplitMix64(state: 2)
        for _ in 0..<TestTier.count(1000) {
            let scale = [10, 100, 1500].randomElement(using: &random)!
            let ends = (0..<2).map { _ in Int.random(in: -scale...scale, using: &random) }.sorted()
            let schema = #"{"type": "integer", "minimum": \#(ends[0]), "maximum": \#(ends[1])}"#
            let constraint = try Constraint.jsonSchema(schema)
            let near = ends.flatMap { [$0 - 1, $0, $0 + 1] } + [0, 9, 10, 99, 100, 999, 1000]
            for number in near.flatMap({ [$0, -$0] })
                + (0..<20).map({ _ in Int.random(in: -scale...scale, using: &random) })
            {
                let isWithin = ends[0] <= number && number <= ends[1]
                XCTAssertEqual(try ByteMatcher.accepts(constraint, "\(number)"), isWithin, "\(schema), \(number)")
            }
        }
    }

    func testPatternsAndFormats() {
        let cases: [(String, [String], [String])] = [
            (#"{"type": "string", "pattern": "ab"}"#, [#""ab""#, #""xaby\n""#], [#""a""#, #""ba""#]),
            (#"{"type": "string", "pattern": "^ab|c$"}"#, [#""abx""#, #""xc""#], [#""xab""#, #""cx""#]),
            (#"{"pattern": "^[\\s\"\\\\]{2}$"}"#, [#""\n\"""#, #"" \\""#, #""\u000b\t""#], ["\"\n \"", #"""""#]),
            (#"{"pattern": "^[^a]$"}"#, [#""b""#, #""\n""#, #""\"""#], [#""a""#, #""\u0061""#]),
            (
                #"{"format": "date", "type": "string"}"#, [#""2024-02-29""#, #""1999-12-31""#, #""2000-02-29""#],
                [#""2023-02-29""#, #""1900-02-29""#, #""2024-04-31""#, #""0000-01-01""#, #""2024-13-01""#]
            ),
            (
                #"{"format": "time"}"#, [#""23:59:59Z""#, #""00:00:00.25+05:30""#],
                [#""24:00:00Z""#, #""12:00:00""#, #""12:00Z""#]
            ),
            (#"{"format": "date-time"}"#, [#""2024-01-01T10:00:00Z""#], [#""2024-01-01 10:00:00Z""#]),
            (#"{"format": "uuid"}"#, [#""12345678-9abc-def0-1234-56789abcdef0""#], [#""12345678""#]),
        ]
        for (schema, good, bad) in cases { check(try .jsonSchema(schema), accepts: good, refuses: bad, schema) }
    }

    func testObjects() {
        let ab = #""properties": {"a": {"type": "null"}, "b": {"type": "null"}, "c": {"type": "null"}}"#
        let cases: [(String, [String], [String])] = [
            (
                "{\(ab)}", ["{}", #"{"a":null}"#, #"{ "b": null, "c": null}"#, "{\n  \"a\": null,\n  \"c\": null\n}"],
                [#"{"b":null,"a":null}"#, "{,}", #"{"d":null}"#]
            ),
            (
                "{\(ab), \"required\": [\"b\"]}", [#"{"b":null}"#, #"{"a":null,"b":null}"#, #"{"b":null,"c":null}"#],
                ["{}", #"{"a":null}"#, #"{"c":null}"#, #"{"a":null,"c":null}"#]
            ),
            (
                "{\(ab), \"required\": [\"a\", \"c\"]}", [#"{"a":null,"c":null}"#, #"{"a":null,"b":null,"c":null}"#],
                [#"{"a":null}"#, #"{"c":null}"#]
            ),
            (#"{"type": "object"}"#, ["{}", #"{"x": [1, {"y": "z"}]}"#], ["[]", "{x: 1}", #"{"a":1,}"#]),
            (#"{"type": "object", "additionalProperties": false}"#, ["{}"], [#"{"a":1}"#]),
            (
                #"{"type": "object", "additionalProperties": {"type": "null"}}"#, ["{}", #"{"a":null,"b":null}"#],
                [#"{"a":1}"#]
            ),
            (
                #"{"properties": {"ab": {"type": "null"}, "a\"": {"type": "null"}}, "additionalProperties": {"type": "boolean"}}"#,
                [
                    #"{"ab":null,"a\"":null,"a":true}"#, #"{"":true,"abc":false,"b\u0061":true}"#, #"{"ab":null}"#,
                    #"{"a\\":true}"#,
                    #"{"a\n":true}"#,
                ], [#"{"ab":true}"#, #"{"\u0061b":true}"#, #"{"a\u0062":true}"#, #"{"a\"":true}"#, #"{"x":null}"#]
            ),
            (#"{"type": "object", "required": ["x"]}"#, [#"{"x":1}"#, #"{"x":{},"y":2}"#], ["{}", #"{"y":2}"#]),
            ("{}", ["{}", "[]", "1", "null", #"[{"a": ["b"]}]"#], ["", "nul", "[1,]"]), ("true", ["1", "\"a\""], [""]),
            (#"{"properties": {"a": false, "b": true}}"#, ["{}", #"{"b":1}"#], [#"{"a":1}"#]),
        ]
        for (schema, good, bad) in cases { check(try .jsonSchema(schema), accepts: good, refuses: bad, schema) }
    }

    func testArrays() {
        let cases: [(String, [String], [String])] = [
            (
                #"{"items": {"type": "null"}}"#, ["[]", "[ ]", "[null]", "[null, null]", "[\n null,\n null\n]"],
                ["[null,]", "[1]", "[null null]"]
            ),
            (
                #"{"items": {"type": "null"}, "minItems": 2, "maxItems": 3}"#, ["[null,null]", "[null,null,null]"],
                ["[]", "[null]", "[null,null,null,null]"]
            ),
            (#"{"type": "array", "maxItems": 0}"#, ["[]"], ["[1]"]),
            (#"{"type": "array", "minItems": 1}"#, ["[1]", "[{},[]]"], ["[]"]),
            (
                #"{"prefixItems": [{"const": 1}, {"const": 2}]}"#, ["[1,2]", "[ 1, 2 ]"],
                ["[1]", "[]", "[1,2,3]", "[2,1]"]
            ),
            (
                #"{"prefixItems": [{"const": 1}, {"const": 2}], "minItems": 0, "items": {"const": 3}}"#,
                ["[]", "[1]", "[1,2]", "[1,2,3,3]"], ["[2]", "[1,3]"]
            ),
            (
                #"{"prefixItems": [{"const": 1}, {"const": 2}], "minItems": 3, "maxItems": 4, "items": {"const": 3}}"#,
                ["[1,2,3]", "[1,2,3,3]"], ["[1,2]", "[1,2,3,3,3]"]
            ),
            (#"{"prefixItems": [{"const": 1}, {"const": 2}], "maxItems": 1}"#, ["[1]"], ["[]", "[1,2]"]),
        ]
        for (schema, good, bad) in cases { check(try .jsonSchema(schema), accepts: good, refuses: bad, schema) }
    }

    func testCombinationsAndReferences() {
        let cases: [(String, [String], [String])] = [
            (#"{"anyOf": [{"const": 1}, {"type": "string"}]}"#, ["1", "\"a\""], ["2"]),
            (
                #"{"type": "string", "anyOf": [{"maxLength": 1}, {"minLength": 3, "maxLength": 3}]}"#,
                [#""a""#, #""abc""#],
                [#""ab""#, "1"]
            ),
            (
                #"{"allOf": [{"minimum": 3, "type": "number"}, {"type": "integer", "maximum": 5}, {"minimum": 1}]}"#,
                ["3", "5"], ["2", "6", "3.5"]
            ),
            (#"{"allOf": [{"enum": [1, 2]}, {"enum": [2.0, 3]}]}"#, ["2"], ["1", "3"]),
            (
                ##"{"$ref": "#/$defs/a", "required": ["y"], "$defs": {"a": {"properties": {"x": {}, "y": {"type": "null"}}}}}"##,
                [#"{"y":null}"#, #"{"x":1,"y":null}"#], ["{}", #"{"x":1}"#]
            ),
            (
                #"{"allOf": [{"properties": {"a": {"type": "integer"}}}, {"properties": {"a": {"minimum": 7}}}], "type": "object"}"#,
                [#"{"a":7}"#], [#"{"a":6}"#]
            ),
            (##"{"type": "array", "items": {"$ref": "#"}}"##, ["[]", "[[],[[]]]"], ["[1]"]),
            (##"{"$ref": "#/$defs/~1%C3%A9~0", "$defs": {"/é~": {"const": 1}}}"##, ["1"], ["2"]),
            (
                ##"{"properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}, "required": ["next"]}"##,
                [#"{"next":null}"#, #"{"next":{"next":null}}"#], ["{}", #"{"next":{}}"#]
            ),
            // What never ends is left out.
            (
                ##"{"properties": {"a": {"$ref": "#/$defs/x"}}, "$defs": {"x": {"required": ["y"], "properties": {"y": {"$ref": "#/$defs/x"}}}}}"##,
                ["{}"], [#"{"a":{}}"#]
            ),
        ]
        for (schema, good, bad) in cases { check(try .jsonSchema(schema), accepts: good, refuses: bad, schema) }
    }

    func testWhatIsRefusedIsNamed() {
        let cases: [(String, String)] = [
            ("[]", "#"), ("1", "#"), (#"{"type": "text"}"#, "#/type"), (#"{"type": []}"#, "#/type"),
            (#"{"type": 5}"#, "#/type"),
            (#"{"not": {}}"#, "#/not"), (#"{"type": "array", "uniqueItems": true}"#, "#/uniqueItems"),
            (#"{"foo": 1}"#, "#/foo"),
            (#"{"properties": {"a/b": {"multipleOf": 2}}}"#, "#/properties/a~1b/multipleOf"),
            (#"{"patternProperties": {}}"#, "#/patternProperties"),
            (#"{"type": "string", "pattern": "a("}"#, "#/pattern"),
            (#"{"type": "string", "pattern": "a", "maxLength": 3}"#, "#/maxLength"),
            (#"{"type": "string", "format": "email"}"#, "#/format"),
            (#"{"type": "string", "minLength": -1}"#, "#/minLength"),
            (#"{"type": "string", "maxLength": 1000000}"#, "#/maxLength"),
            (#"{"type": "string", "minLength": 3, "maxLength": 2}"#, "#"),
            (#"{"type": "string", "minimum": 2}"#, "#/minimum"),
            (#"{"type": "integer", "minimum": 3, "maximum": 2}"#, "#"),
            (#"{"type": "number", "minimum": 0.5}"#, "#/minimum"),
            (#"{"type": "number", "exclusiveMaximum": 10000000000}"#, "#/exclusiveMaximum"),
            (#"{"type": "integer", "minimum": "a"}"#, "#/minimum"),
            (#"{"type": "integer", "exclusiveMinimum": true}"#, "#/exclusiveMinimum"),
            (#"{"enum": []}"#, "#/enum"), (#"{"enum": [1], "type": "string"}"#, "#"),
            (#"{"const": 1, "minLength": 2}"#, "#/minLength"),
            (#"{"const": 123456789012345678901234567890}"#, "#"),
            (#"{"required": ["a"], "properties": {}}"#, "#/required"),
            (#"{"required": "a"}"#, "#/required"), (#"{"properties": []}"#, "#/properties"),
            (#"{"properties": {"a": {}, "a": {}}}"#, "#/properties/a"),
            (#"{"type": "null", "type": "null"}"#, "#"), (##"{"$ref": "#/$defs/a"}"##, "#/$ref"),
            (#"{"$ref": "other.json"}"#, "#/$ref"),
            (##"{"$ref": "#/~2"}"##, "#/$ref"), (##"{"$ref": "#/%"}"##, "#/$ref"), (##"{"$ref": "#"}"##, "#"),
            (#"{"items": false, "minItems": 1}"#, "#/minItems"),
            (#"{"items": [{}], "prefixItems": [{}]}"#, "#/items"), (#"{"prefixItems": []}"#, "#/prefixItems"),
            (#"{"items": 1}"#, "#/items"),
            (#"{"anyOf": []}"#, "#/anyOf"), (#"{"oneOf": [{"type": "number"}, {"type": "integer"}]}"#, "#/oneOf"),
            (#"{"oneOf": [{"type": "string"}, {"maxLength": 3}]}"#, "#/oneOf"),
            (#"{"allOf": [{"type": "string"}, {"type": "null"}]}"#, "#"),
            (#"{"allOf": [{"pattern": "a"}, {"pattern": "b"}]}"#, "#"), (##"{"allOf": [{"$ref": "#"}]}"##, "#"),
            (#"{"allOf": [{"additionalProperties": false}, {"properties": {"a": {}}}]}"#, "#"),
            (#"{"required": ["a"], "properties": {"a": false}}"#, "#"),
            (##"{"required": ["a"], "properties": {"a": {"$ref": "#"}}}"##, "#"),
            (#"{"properties": {"a": {"$id": "x"}}}"#, "#/properties/a/$id"),
            (##"{"type": "object", "anyOf": [{"$ref": "#"}, {"$ref": "#"}]}"##, "#/anyOf/1/anyOf/1/"),
            ("{\n \"type\": x}", "line 2, column 10"), ("", "line 1, column 1"),
        ]
        for (schema, place) in cases { check(try .jsonSchema(schema), failsAt: place, schema) }
    }

    func testAlternativesThatCannotOverlap() {
        let schemas = [
            #"{"oneOf": [{"type": "string"}, {"type": ["integer", "null"]}, {"type": "boolean"}]}"#,
            #"{"oneOf": [{"const": 1}, {"enum": [2, 3]}, {"type": "string"}]}"#,
            ##"{"oneOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"}], "$defs": {"a": {"type": "object", "required": ["k"], "properties": {"k": {"const": 1}}}, "b": {"type": "object", "required": ["k"], "properties": {"k": {"enum": [2]}}}}}"##,
            #"{"oneOf": [{"type": "object", "required": ["a"], "properties": {"a": {}}}, {"type": "object", "properties": {"b": {}}, "additionalProperties": false}]}"#,
        ]
        for schema in schemas { XCTAssertNoThrow(try Constraint.jsonSchema(schema), schema) }
    }
}
