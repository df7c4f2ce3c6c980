// SPDX-License-Identifier: Apache-2.0

import TinyRuntime

/// What callers have handles of.
protocol CObject: AnyObject {
    /// Tells handles of one kind from others.
    static var mark: UInt64 { get }
    /// In messages.
    static var kind: String { get }
}

extension Model: CObject {
    static var mark: UInt64 { 0x6C65_646F_6D5F_7374 }
    static var kind: String { "model" }
}

extension Batch: CObject {
    static var mark: UInt64 { 0x6863_7461_625F_7374 }
    static var kind: String { "batch" }
}

/// What a handle points to. By its mark, NULL and handles of other kinds are told from good ones. A handle that was closed, and
/// an address that never was a handle, cannot be.
private struct CHandle {
    var mark: UInt64
    let object: UnsafeMutableRawPointer
}

/// A handle that keeps the object until `release`.
func keep<T: CObject>(_ object: T) -> OpaquePointer {
    let handle = UnsafeMutablePointer<CHandle>.allocate(capacity: 1)
    handle.initialize(to: CHandle(mark: T.mark, object: Unmanaged.passRetained(object).toOpaque()))
    return OpaquePointer(handle)
}

/// The object behind a handle.
/// - Throws: bad option for NULL and a handle of another kind.
func object<T: CObject>(_ handle: OpaquePointer?, as type: T.Type = T.self) throws(CFailure) -> T {
    guard let handle else { throw CFailure(RequestError("the \(T.kind) is NULL")) }
    guard let opened = opened(handle, as: T.self) else {
        throw CFailure(RequestError("the handle is not that of a \(T.kind)"))
    }
    return Unmanaged<T>.fromOpaque(opened.pointee.object).takeUnretainedValue()
}

/// The object behind a handle, or nil: for functions without a status.
func objectIfAny<T: CObject>(_ handle: OpaquePointer?, as type: T.Type = T.self) -> T? {
    do throws(CFailure) { return try object(handle) } catch { return nil }
}

/// Gives the object behind a handle back; what is no handle of that kind is left alone.
func release<T: CObject>(_ handle: OpaquePointer?, as type: T.Type) {
    guard let handle, let opened = opened(handle, as: T.self) else { return }
    Unmanaged<T>.fromOpaque(opened.pointee.object).release()
    opened.pointee.mark = 0
    opened.deallocate()
}

private func opened<T: CObject>(_ handle: OpaquePointer, as type: T.Type) -> UnsafeMutablePointer<CHandle>? {
    let isAligned = UInt(bitPattern: handle) % UInt(MemoryLayout<CHandle>.alignment) == 0
    let pointer = UnsafeMutablePointer<CHandle>(handle)
    return isAligned && pointer.pointee.mark == T.mark ? pointer : nil
}

/// `count` values of a caller.
/// - Throws: bad option for NULL with a count, and for a count that is no size of memory.
func values<T>(
    _ start: UnsafePointer<T>?, _ count: Int, _ what: String
) throws(CFailure) -> UnsafeBufferPointer<T> {
    guard count >= 0, count <= Int.max / MemoryLayout<T>.stride else {
        throw CFailure(RequestError("the size of the \(what) is too large"))
    }
    guard start != nil || count == 0 else {
        throw CFailure(RequestError("the \(what) is NULL, but its size is \(count)"))
    }
    return UnsafeBufferPointer(start: start, count: count)
}

/// Bytes of a caller as text.
func text(_ bytes: UnsafePointer<CChar>?, _ size: Int) throws(CFailure) -> [UInt8] {
    try values(bytes, size, "text").map { UInt8(bitPattern: $0) }
}

/// The path of a caller.
func text(ofPath path: UnsafePointer<CChar>?) throws(CFailure) -> String {
    guard let path else { throw CFailure(RequestError("the path is missing")) }
    return String(cString: path)
}
