// SPDX-License-Identifier: Apache-2.0

// The functions of include/tinysparse.h about batches. What they do is said there.

import TinyRuntime

/// `tinysparse_batch_callback`.
public typealias CBatchCallback =
    @convention(c) (Int64, UnsafePointer<CChar>?, Int, Int32, UnsafeMutableRawPointer?) -> Int32

/// What `tinysparse_reason` has for a sequence that goes on, and for one that ended by an error.
private let goesOn: Int32 = -1, failed: Int32 = 5

@c(tinysparse_batch_open)
public func tinysparseBatchOpen(
    _ model: OpaquePointer?, _ options: UnsafePointer<CChar>?, _ status: UnsafeMutablePointer<Int32>?,
    _ message: UnsafeMutablePointer<CChar>?, _ size: Int
) -> OpaquePointer? {
    CMessage(buffer: message, size: size).handle(status) {
        let request = try request(options)
        let options = try Session.Options(request: request, also: ["places", "cached_tokens"])
        return try Batch(
            object(model), places: request.integer("places", in: 1...256) ?? 8,
            cachedTokens: request.integer("cached_tokens", in: 0...1 << 40) ?? 0, options)
    }
}

@c(tinysparse_batch_close)
public func tinysparseBatchClose(_ batch: OpaquePointer?) { release(batch, as: Batch.self) }

@c(tinysparse_batch_add)
public func tinysparseBatchAdd(
    _ batch: OpaquePointer?, _ prompt: UnsafePointer<CChar>?, _ promptSize: Int, _ options: UnsafePointer<CChar>?,
    _ id: UnsafeMutablePointer<Int64>?, _ message: UnsafeMutablePointer<CChar>?, _ size: Int
) -> Int32 {
    CMessage(buffer: message, size: size).status {
        let batch: Batch = try object(batch)
        let request = try GenerationRequest(try request(options), prompt: prompt, promptSize)
        let tokenizer = batch.model.tokenizer
        let ids = try request.encodedConversation(tokenizer) ?? tokenizer.encode(request.prompt)
        // Not in one line with `id?`, which would add nothing for NULL.
        let added = try batch.add(ids, request.options)
        id?.pointee = Int64(added)
    }
}

@c(tinysparse_batch_cancel)
public func tinysparseBatchCancel(_ batch: OpaquePointer?, _ id: Int64) {
    (try? object(batch, as: Batch.self))?.cancel(Int(id))
}

@c(tinysparse_batch_step)
public func tinysparseBatchStep(
    _ batch: OpaquePointer?, _ callback: CBatchCallback?, _ context: UnsafeMutableRawPointer?,
    _ message: UnsafeMutablePointer<CChar>?, _ size: Int
) -> Int32 {
    CMessage(buffer: message, size: size).status {
        let batch: Batch = try object(batch)
        var error: RuntimeError?
        for output in batch.step() {
            error = error ?? output.error
            let reason = output.error != nil ? failed : output.reason?.code ?? goesOn
            var text = output.text
            guard output.isLast || !text.isEmpty else { continue }
            let isWanted = text.withUTF8 { bytes in
                bytes.withMemoryRebound(to: CChar.self) {
                    callback?(Int64(output.id), $0.baseAddress, $0.count, reason, context) ?? 1
                }
            }
            if isWanted == 0 { batch.cancel(output.id) }
        }
        // The others are as they would be without the one that failed.
        if let error { throw error }
    }
}

@c(tinysparse_batch_is_idle)
public func tinysparseBatchIsIdle(_ batch: OpaquePointer?) -> Int32 {
    (try? object(batch, as: Batch.self))?.isIdle ?? true ? 1 : 0
}

@c(tinysparse_batch_has_place)
public func tinysparseBatchHasPlace(_ batch: OpaquePointer?) -> Int32 {
    (try? object(batch, as: Batch.self))?.hasPlace ?? false ? 1 : 0
}
