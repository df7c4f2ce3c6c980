// SPDX-License-Identifier: Apache-2.0

import TinySparse

/// The members of a JSON object that a client sent, read one by one. A member that is null counts as none.
///
/// TinySparse's own reader keeps the order of members: the texts of a schema have its properties in that order.
struct Fields {
    private let members: [(key: String, value: JSON)]
    /// What goes before the names in errors: `messages[2].`.
    private let path: String

    /// - Throws: `APIError` for what is no JSON object.
    init(body: [UInt8]) throws(APIError) {
        let json: JSON
        do throws(JSONError) { json = try JSON.parse(body) } catch {
            throw .invalid("the body is no JSON: \(error.message) at byte \(error.offset)", code: "invalid_json")
        }
        try self.init(json, "")
    }

    /// An object within a request.
    init(_ json: JSON, _ path: String) throws(APIError) {
        guard let members = json.object else {
            throw .invalid((path.isEmpty ? "the body" : path) + " has to be a JSON object", parameter: path)
        }
        self.members = members
        self.path = path.isEmpty ? "" : path + "."
    }

    /// Of several members with one name the last counts.
    subscript(_ key: String) -> JSON? {
        guard let value = members.last(where: { $0.key.utf8.elementsEqual(key.utf8) })?.value, !value.isNull else {
            return nil
        }
        return value
    }

    /// An error about a member.
    func wrong(_ key: String, _ message: String, code: String? = nil) -> APIError {
        .invalid("\(path)\(key): \(message)", parameter: path + key, code: code)
    }

    /// A whole number, however it is written: 2 and 2.0 are the same.
    func integer<T: FixedWidthInteger>(_ key: String, in range: ClosedRange<T>) throws(APIError) -> T? {
        guard let value = self[key] else { return nil }
        // From 2^53 on a double may stand for another number than the one written; as it may where an integer is beyond Int64.
        let whole = value.integer.flatMap { T(exactly: $0) }
        let rounded = value.double.flatMap { $0.magnitude < 0x1p53 ? T(exactly: $0) : nil }
        guard let number = whole ?? rounded, range.contains(number) else {
            throw wrong(key, "a whole number from \(range.lowerBound) to \(range.upperBound) is needed")
        }
        return number
    }

    func number(_ key: String, in range: ClosedRange<Float>) throws(APIError) -> Float? {
        guard let value = self[key] else { return nil }
        guard let number = value.double.map({ Float($0) }), range.contains(number) else {
            throw wrong(key, "a number from \(range.lowerBound) to \(range.upperBound) is needed")
        }
        return number
    }

    func bool(_ key: String) throws(APIError) -> Bool? {
        guard let value = self[key] else { return nil }
        guard let bool = value.bool else { throw wrong(key, "true or false is needed") }
        return bool
    }

    func string(_ key: String) throws(APIError) -> String? {
        guard let value = self[key] else { return nil }
        guard let string = value.string else { throw wrong(key, "a string is needed") }
        return string
    }

    /// A string, or a list of strings.
    func strings(_ key: String) throws(APIError) -> [String]? {
        guard let value = self[key] else { return nil }
        if let string = value.string { return [string] }
        guard let strings = value.array?.map({ $0.string }), !strings.contains(nil) else {
            throw wrong(key, "a string or a list of strings is needed")
        }
        return strings.compactMap { $0 }
    }

    /// An object within this one.
    func object(_ key: String) throws(APIError) -> Fields? {
        try self[key].map { (value) throws(APIError) in try Fields(value, path + key) }
    }
}
