// SPDX-License-Identifier: Apache-2.0

// The functions of include/tinysparse.h about models. What they do is said there.

import TinyConversion
import TinyFormats
import TinyRuntime
import TinySupport
import TinyTokenizer

@c(tinysparse_model_open)
public func tinysparseModelOpen(
    _ path: UnsafePointer<CChar>?, _ status: UnsafeMutablePointer<Int32>?,
    _ message: UnsafeMutablePointer<CChar>?, _ size: Int
) -> OpaquePointer? {
    CMessage(buffer: message, size: size).handle(status) { () throws(CFailure) in try open(text(ofPath: path)) }
}

@c(tinysparse_model_from_memory)
public func tinysparseModelFromMemory(
    _ bytes: UnsafeRawPointer?, _ count: Int, _ status: UnsafeMutablePointer<Int32>?,
    _ message: UnsafeMutablePointer<CChar>?, _ size: Int
) -> OpaquePointer? {
    CMessage(buffer: message, size: size).handle(status) { () throws(CFailure) in
        try open(UnsafeRawBufferPointer(values(bytes?.assumingMemoryBound(to: UInt8.self), count, "model")))
    }
}

@c(tinysparse_model_close)
public func tinysparseModelClose(_ model: OpaquePointer?) { release(model, as: Model.self) }

@c(tinysparse_vocabulary_size)
public func tinysparseVocabularySize(_ model: OpaquePointer?) -> Int32 {
    Int32(objectIfAny(model, as: Model.self)?.config.vocabularySize ?? 0)
}

@c(tinysparse_context_length)
public func tinysparseContextLength(_ model: OpaquePointer?) -> Int32 {
    Int32(objectIfAny(model, as: Model.self)?.config.contextLength ?? 0)
}

@c(tinysparse_tokenize)
public func tinysparseTokenize(
    _ model: OpaquePointer?, _ bytes: UnsafePointer<CChar>?, _ size: Int, _ addSpecial: Int32,
    _ tokens: UnsafeMutablePointer<Int32>?, _ capacity: Int
) -> Int {
    sizeOrZero { () throws(CFailure) in
        let ids = try object(model, as: Model.self).tokenizer.encode(text(bytes, size), addSpecial: addSpecial != 0)
        copy(ids, tokens, capacity)
        return ids.count
    }
}

@c(tinysparse_detokenize)
public func tinysparseDetokenize(
    _ model: OpaquePointer?, _ tokens: UnsafePointer<Int32>?, _ count: Int,
    _ out: UnsafeMutablePointer<CChar>?, _ capacity: Int
) -> Int {
    sizeOrZero { () throws(CFailure) in
        let tokenizer = try object(model, as: Model.self).tokenizer
        let known = try values(tokens, count, "list of tokens").filter { $0 >= 0 && Int($0) < tokenizer.vocabularySize }
        let bytes = tokenizer.decodeBytes(known).map { CChar(bitPattern: $0) }
        copy(bytes, out, capacity)
        return bytes.count
    }
}

@c(tinysparse_is_end)
public func tinysparseIsEnd(_ model: OpaquePointer?, _ token: Int32) -> Int32 {
    objectIfAny(model, as: Model.self)?.tokenizer.isEndOfGeneration(token) ?? false ? 1 : 0
}

private func open(_ path: String) throws(CFailure) -> Model {
    try reporting { () throws(FormatError) in try Model(path: path) }
}

private func open(_ bytes: UnsafeRawBufferPointer) throws(CFailure) -> Model {
    try reporting { () throws(FormatError) in try Model(bytes: bytes) }
}

/// What a function without a status returns.
private func sizeOrZero(_ size: () throws(CFailure) -> Int) -> Int {
    do throws(CFailure) { return try size() } catch { return 0 }
}

private func copy<T>(_ values: [T], _ out: UnsafeMutablePointer<T>?, _ capacity: Int) {
    out?.update(from: values, count: min(max(capacity, 0), values.count))
}
