// SPDX-License-Identifier: Apache-2.0

/// What Python's types have under a name. It matters even where it is not called: `message.items` is the method, also if the
/// message has a member of that name.
enum MethodTable {
    enum Kind {
        /// A method that is implemented.
        case method
        /// A method that changes its object.
        case unsafe
        /// Something else that exists in Python.
        case unsupported
    }

    static func kind(of name: String, for value: Value) -> Kind? {
        switch value {
        case .string(let text):
            if text.isMarkup, !markup.contains(name) {
                return strings.contains(name) ? .unsupported : otherMarkup(name)
            }
            return strings.contains(name) ? .method : otherStrings.contains(name) ? .unsupported : nil
        case .list:
            return sequences.contains(name) || name == "copy" ? .method : changingList.contains(name) ? .unsafe : nil
        case .tuple: return sequences.contains(name) ? .method : nil
        case .dictionary:
            if dictionaries.contains(name) { return .method }
            return changingDictionary.contains(name) ? .unsafe : name == "fromkeys" ? .unsupported : nil
        case .bool, .integer: return numbers.contains(name) || integers.contains(name) ? .unsupported : nil
        case .double: return numbers.contains(name) || floats.contains(name) ? .unsupported : nil
        case .range: return ["count", "index", "start", "step", "stop"].contains(name) ? .unsupported : nil
        case .view: return ["isdisjoint", "mapping"].contains(name) ? .unsupported : nil
        case .iterator: return ["close", "send", "throw"].contains(name) ? .unsupported : nil
        case .loop: return name == "cycle" ? .method : name == "changed" ? .unsupported : nil
        case .macro:
            return ["arguments", "caller", "catch_kwargs", "catch_varargs", "explicit_caller"].contains(name)
                ? .unsupported : nil
        case .function(.dict): return name == "fromkeys" ? .unsupported : nil
        case .undefined, .none, .namespace, .function, .method: return nil
        }
    }

    private static func otherMarkup(_ name: String) -> Kind? {
        otherStrings.contains(name) || ["escape", "striptags", "unescape"].contains(name) ? .unsupported : nil
    }

    private static let strings: Set<String> = [
        "capitalize", "center", "count", "endswith", "find", "format", "index", "isalnum", "isalpha", "isascii",
        "isdecimal", "isdigit", "islower", "isnumeric", "isprintable", "isspace", "isupper", "join", "ljust", "lower",
        "lstrip", "partition", "removeprefix", "removesuffix", "replace", "rfind", "rindex", "rjust", "rpartition",
        "rsplit", "rstrip", "split", "splitlines", "startswith", "strip", "swapcase", "title", "upper", "zfill",
    ]
    private static let otherStrings: Set<String> = [
        "casefold", "encode", "expandtabs", "format_map", "isidentifier", "istitle", "maketrans", "translate",
    ]
    /// Methods that treat text marked as safe like other text.
    private static let markup: Set<String> = [
        "capitalize", "count", "endswith", "find", "index", "lower", "lstrip", "rfind", "rindex", "rsplit", "rstrip",
        "split", "splitlines", "startswith", "strip", "swapcase", "title", "upper",
    ]
    private static let sequences: Set<String> = ["count", "index"]
    private static let changingList: Set<String> = [
        "append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort",
    ]
    private static let dictionaries: Set<String> = ["copy", "get", "items", "keys", "values"]
    private static let changingDictionary: Set<String> = ["clear", "pop", "popitem", "setdefault", "update"]
    private static let numbers: Set<String> = ["as_integer_ratio", "conjugate", "imag", "real"]
    private static let integers: Set<String> = [
        "bit_count", "bit_length", "denominator", "from_bytes", "numerator", "to_bytes",
    ]
    private static let floats: Set<String> = ["fromhex", "hex", "is_integer"]
}
