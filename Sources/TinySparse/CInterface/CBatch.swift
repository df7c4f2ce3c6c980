// SPDX-License-Identifier: Apache-2.0

// The functions of include/tinysparse.h about batches. What they do is said there.

import TinyRuntime
import TinyTokenizer

/// `tinysparse_batch_callback`.
public typealias CBatchCallback =
    @convention(c) (Int64, UnsafePointer<CChar>?, Int, Int32, UnsafeMutableRawPointer?) -> Int32

/// What `tinysparse_reason` has for a text that goes on, and for one that ended by an error.
let goesOn: Int32 = -1
private let failed: Int32 = 5

@c(tinysparse_batch_open)
public func tinysparseBatchOpen(
    _ model: OpaquePointer?, _ options: UnsafePointer<CChar>?, _ status: UnsafeMutablePointer<Int32>?,
    _ message: UnsafeMutablePointer<CChar>?, _ size: Int
) -> OpaquePointer? {
    CMessage(buffer: message, size: size).handle(status) { () throws(CFailure) in
        let model: Model = try object(model)
        let request = try request(options)
        let (options, places, cachedTokens) = try reporting { () throws(RequestError) in
            (
                try Session.Options(request: request, also: ["places", "cached_tokens"]),
                try request.integer("places", in: 1...256) ?? 8,
                try request.integer("cached_tokens", in: 0...1 << 40) ?? 0
            )
        }
        return try reporting { () throws(RuntimeError) in
            try Batch(model, places: places, cachedTokens: cachedTokens, options)
        }
    }
}

@c(tinysparse_batch_close)
public func tinysparseBatchClose(_ batch: OpaquePointer?) { release(batch, as: Batch.self) }

@c(tinysparse_batch_add)
public func tinysparseBatchAdd(
    _ batch: OpaquePointer?, _ prompt: UnsafePointer<CChar>?, _ promptSize: Int, _ options: UnsafePointer<CChar>?,
    _ id: UnsafeMutablePointer<Int64>?, _ message: UnsafeMutablePointer<CChar>?, _ size: Int
) -> Int32 {
    CMessage(buffer: message, size: size).status { () throws(CFailure) in
        let batch: Batch = try object(batch)
        let request = try GenerationRequest(request(options), prompt: prompt, promptSize)
        let tokenizer = batch.model.tokenizer
        let ids = try request.encodedConversation(tokenizer) ?? tokenizer.encode(request.prompt)
        // Not in one line with `id?`, which would add nothing for NULL.
        let added = try reporting { () throws(RuntimeError) in try batch.add(ids, request.options) }
        id?.pointee = Int64(added)
    }
}

@c(tinysparse_batch_cancel)
public func tinysparseBatchCancel(_ batch: OpaquePointer?, _ id: Int64) {
    objectIfAny(batch, as: Batch.self)?.cancel(Int(id))
}

@c(tinysparse_batch_step)
public func tinysparseBatchStep(
    _ batch: OpaquePointer?, _ callback: CBatchCallback?, _ context: UnsafeMutableRawPointer?,
    _ message: UnsafeMutablePointer<CChar>?, _ size: Int
) -> Int32 {
    CMessage(buffer: message, size: size).status { () throws(CFailure) in
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
        if let error { throw CFailure(error) }
    }
}

@c(tinysparse_batch_is_idle)
public func tinysparseBatchIsIdle(_ batch: OpaquePointer?) -> Int32 {
    objectIfAny(batch, as: Batch.self)?.isIdle ?? true ? 1 : 0
}

@c(tinysparse_batch_has_place)
public func tinysparseBatchHasPlace(_ batch: OpaquePointer?) -> Int32 {
    objectIfAny(batch, as: Batch.self)?.hasPlace ?? false ? 1 : 0
}
