// SPDX-License-Identifier: Apache-2.0

import Foundation

/// How the answers of an endpoint look.
protocol AnswerFormat: SendableMetatype {
    /// A choice of a complete answer, and of a part of a stream.
    associatedtype Choice: Encodable
    associatedtype Delta: Encodable

    /// What ids begin with; `object` of a complete answer, and of a part of a stream.
    static var idPrefix: String { get }
    static var object: String { get }
    static var partObject: String { get }

    static func choice(_ piece: Piece) -> Choice
    static func delta(_ piece: Piece) -> Delta
    /// What a stream sends of a choice before its first piece; nil for nothing.
    static func opening(_ index: Int) -> Delta?
}

/// What every answer, and every part of a stream, says around its choices.
struct Envelope<Choice: Encodable>: Encodable {
    let id: String
    let object: String
    /// Seconds since 1970.
    let created: Int
    let model: String
    let choices: [Choice]
    /// nil to leave it out, null in the parts of a stream that will end with it.
    let usage: Nullable<Usage>?
}

/// The same for all parts of an answer.
struct AnswerHead {
    let id: String
    let created = Int(Date().timeIntervalSince1970)
    let model: String

    init(_ prefix: String, model: String) {
        let letters = Array("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
        id = prefix + String((0..<24).map { _ in letters.randomElement()! })
        self.model = model
    }

    func envelope<Choice>(_ object: String, _ choices: [Choice], usage: Nullable<Usage>?) -> Envelope<Choice> {
        Envelope(id: id, object: object, created: created, model: model, choices: choices, usage: usage)
    }
}

/// A value or an explicit null, where Swift would leave the member out.
struct Nullable<Value: Encodable>: Encodable {
    let value: Value?

    init(_ value: Value?) { self.value = value }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        if let value { try container.encode(value) } else { try container.encodeNil() }
    }
}
