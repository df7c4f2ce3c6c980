// SPDX-License-Identifier: Apache-2.0

import Foundation
import Hummingbird
import NIOCore
import TinySparse

/// Generates the texts of a request and sends them, whole or in pieces.
///
/// A client that goes away ends its texts before the next step.
struct AnswerResponse<Format: AnswerFormat>: Sendable {
    private let texts: [Job.Text]
    private let generation: GenerationFields
    private let model: ServedModel
    private let thinkingAfter: String?
    private let clientTimeout: TimeAmount

    /// - Parameter thinkingAfter: the text of a conversation's prompt; nil for a text in which nobody thinks.
    init(
        _ prompts: [[Int32]], _ generation: GenerationFields, _ routes: Routes, thinkingAfter: String? = nil
    ) {
        texts = generation.texts(prompts)
        self.generation = generation
        model = routes.model
        clientTimeout = routes.settings.clientTimeout
        self.thinkingAfter = thinkingAfter
    }

    /// - Throws: `EngineError`, `RuntimeError`, `CancellationError` where the client has gone.
    func response(_ context: ServerContext) async throws -> Response {
        let answer = try model.engine.submit(texts)
        // What is wrong with the request is known before its first token, and can still have a status of its own.
        var events = answer.events.makeAsyncIterator()
        _ = try await events.next()
        let deadline = WriteDeadline(channel: context.channel, timeout: clientTimeout)
        return generation.streams
            ? stream(answer, deadline) : try await whole(answer, deadline)
    }

    private var reader: AnswerReader {
        AnswerReader(
            texts, choicesPerPrompt: generation.count, model.tokenizer, thinkingAfter: thinkingAfter)
    }

    private var head: AnswerHead { AnswerHead(Format.idPrefix, model: model.name) }

    // MARK: Whole

    private func whole(_ answer: Answer, _ deadline: WriteDeadline) async throws -> Response {
        let body = try await ClientWatch.during(deadline.channel, onGone: answer.cancel) { try await collected(answer) }
        return Response(
            status: .ok,
            headers: [
                .contentType: "application/json", .contentLength: "\(body.readableBytes)",
            ],
            body: ResponseBody(contentLength: body.readableBytes) { writer in
                try await deadline.write(body, to: &writer)
                try await writer.finish(nil)
            })
    }

    /// The answer when it is complete.
    private func collected(_ answer: Answer) async throws -> ByteBuffer {
        var reader = reader
        var choices = texts.indices.map { Piece(index: $0) }
        for try await case .output(let index, let output) in answer.events {
            choices[index] += reader.piece(index, output)
        }
        return try encoded(head.envelope(Format.object, choices.map(Format.choice), usage: Nullable(reader.usage)))
    }

    // MARK: In pieces

    private func stream(_ answer: Answer, _ deadline: WriteDeadline) -> Response {
        Response(
            status: .ok,
            headers: [
                .contentType: "text/event-stream; charset=utf-8", .cacheControl: "no-cache",
            ],
            body: ResponseBody { writer in
                defer { answer.cancel() }
                do {
                    try await ClientWatch.during(deadline.channel, onGone: answer.cancel) {
                        try await send(answer, deadline, to: &writer)
                    }
                } catch {
                    guard let error = APIError(ending: error) else { throw error }
                    try await deadline.write(event(error), to: &writer)
                }
                try await writer.finish(nil)
            })
    }

    private func send(
        _ answer: Answer, _ deadline: WriteDeadline, to writer: inout any ResponseBodyWriter
    ) async throws {
        let head = head
        var reader = reader
        let noUsage: Nullable<Usage>? = generation.streamsUsage ? Nullable(nil) : nil
        func part(_ deltas: [Format.Delta], usage: Nullable<Usage>?) throws -> ByteBuffer {
            try event(head.envelope(Format.partObject, deltas, usage: usage))
        }
        for index in texts.indices {
            guard let opening = Format.opening(index) else { break }
            try await deadline.write(part([opening], usage: noUsage), to: &writer)
        }
        for try await case .output(let index, let output) in answer.events {
            let piece = reader.piece(index, output)
            guard !piece.isEmpty else { continue }
            try await deadline.write(part([Format.delta(piece)], usage: noUsage), to: &writer)
        }
        if generation.streamsUsage { try await deadline.write(part([], usage: Nullable(reader.usage)), to: &writer) }
        try await deadline.write(ByteBuffer(string: "data: [DONE]\n\n"), to: &writer)
    }

    /// A server-sent event.
    private func event(_ value: some Encodable) throws -> ByteBuffer {
        var buffer = ByteBuffer(string: "data: ")
        buffer.writeImmutableBuffer(try encoded(value))
        buffer.writeString("\n\n")
        return buffer
    }
}

/// A value as JSON in one line.
func encoded(_ value: some Encodable) throws -> ByteBuffer {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return ByteBuffer(bytes: try encoder.encode(value))
}
