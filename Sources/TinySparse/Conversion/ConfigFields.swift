// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinySupport

/// Typed access to the fields of a JSON object of a configuration file, and to what several architectures say alike.
struct ConfigFields {
    let path: String
    let json: JSON
    /// The name of the object with a period, if it is one within another.
    let prefix: String
    /// The fields that have been read, with their prefixes: what an architecture reads, it understands.
    private let reads: ReadKeys

    /// The fields of an object within another.
    private init(path: String, json: JSON, prefix: String, reads: ReadKeys) {
        self.path = path
        self.json = json
        self.prefix = prefix
        self.reads = reads
    }

    /// Reads a `config.json`.
    init(_ file: MappedFile) throws(FormatError) {
        path = file.path
        json = try JSON.read(file, limit: 1 << 20)
        prefix = ""
        reads = ReadKeys()
    }

    init(path: String) throws(FormatError) { try self.init(MappedFile(path: path)) }

    /// A field that counts as absent if it is null.
    func value(_ key: String) -> JSON? {
        reads.insert(prefix + key)
        guard let value = json[key], !value.isNull else { return nil }
        return value
    }

    /// Whether a field has been read.
    func hasRead(_ key: String) -> Bool { reads.contains(prefix + key) }

    func optionalInteger(_ key: String) throws(FormatError) -> Int? {
        guard let value = value(key) else { return nil }
        guard let integer = value.integer else { throw malformed(key, "a whole number") }
        return Int(integer)
    }

    func integer(_ key: String) throws(FormatError) -> Int {
        guard let value = try optionalInteger(key) else { throw missing(key) }
        return value
    }

    /// A whole number with a default. As in Transformers, null is none.
    func integer(_ key: String, default standard: Int) throws(FormatError) -> Int {
        json[key] == nil ? standard : try integer(key)
    }

    func optionalDouble(_ key: String) throws(FormatError) -> Double? {
        guard let value = value(key) else { return nil }
        guard let double = value.double, double.isFinite else { throw malformed(key, "a finite number") }
        return double
    }

    func double(_ key: String) throws(FormatError) -> Double {
        guard let value = try optionalDouble(key) else { throw missing(key) }
        return value
    }

    /// A number with a default, see `integer(_:default:)`.
    func double(_ key: String, default standard: Double) throws(FormatError) -> Double {
        json[key] == nil ? standard : try double(key)
    }

    func optionalString(_ key: String) throws(FormatError) -> String? {
        guard let value = value(key) else { return nil }
        guard let string = value.string else { throw malformed(key, "text") }
        return string
    }

    func string(_ key: String) throws(FormatError) -> String {
        guard let value = try optionalString(key) else { throw missing(key) }
        return value
    }

    /// True or false.
    func bool(_ key: String, default standard: Bool = false) throws(FormatError) -> Bool {
        reads.insert(prefix + key)
        guard let value = json[key] else { return standard }
        guard let bool = value.bool else { throw malformed(key, "true or false") }
        return bool
    }

    func object(_ key: String) throws(FormatError) -> ConfigFields? {
        guard let value = value(key) else { return nil }
        guard value.object != nil else { throw malformed(key, "a JSON object") }
        return ConfigFields(path: path, json: value, prefix: prefix + key + ".", reads: reads)
    }

    /// A list of whole numbers, or of booleans as 0 and 1.
    func integers(_ key: String, count: Int) throws(FormatError) -> [Int]? {
        guard let value = value(key) else { return nil }
        let numbers = value.array?.map { $0.integer.map(Int.init) ?? $0.bool.map { $0 ? 1 : 0 } }
        guard let numbers, numbers.count == count, numbers.allSatisfy({ $0 != nil }) else {
            throw malformed(key, "a list of \(count) whole numbers")
        }
        return numbers.map { $0! }
    }

    /// The last part of `_name_or_path`, which may be a path on the machine that made the model, or else the architecture.
    func modelName() throws(FormatError) -> String {
        let path = try optionalString("_name_or_path") ?? ""
        if let name = path.split(separator: "/").last { return String(name) }
        return try string("model_type")
    }

    /// The activation function under `key`.
    func activation(
        _ key: String, default standard: ModelConfig.Activation
    ) throws(FormatError) -> ModelConfig.Activation {
        guard json[key] != nil else { return standard }
        let name = try string(key)
        switch name {
        case "silu", "swish": return .silu
        case "relu": return .relu
        case "relu2", "relu_squared": return .relu2
        case "fatrelu": return .fatrelu
        case "gelu_new", "gelu_pytorch_tanh", "gelu_python_tanh", "gelu_fast", "gelu_accurate": return .gelu
        case "gelu", "gelu_python": return .geluErf
        default:
            throw unsupported(key, "\"\(printable(name))\" is not supported; silu, relu, relu2, gelu and gelu_new are")
        }
    }

    func unsupported(_ key: String, _ message: String) -> FormatError {
        FormatError(.unsupported, path: path, item: prefix + key, message)
    }

    func missing(_ key: String) -> FormatError {
        FormatError(.missing, path: path, item: prefix + key, "the field is missing or null")
    }

    func malformed(_ key: String, _ what: String) -> FormatError {
        FormatError(.malformed, path: path, item: prefix + key, "should be \(what)")
    }
}

/// The names of fields that have been read.
final class ReadKeys {
    private var keys: Set<String> = []

    func insert(_ key: String) { keys.insert(key) }
    func contains(_ key: String) -> Bool { keys.contains(key) }
}
