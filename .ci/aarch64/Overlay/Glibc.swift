// Module Glibc for Embedded Swift: the cross compiler's C library, and what Swift's own module of that name
// adds to it where C has a macro or a variable number of arguments.

@_exported import CLibrary

public var errno: Int32 {
    get { __errno_location().pointee }
    set { __errno_location().pointee = newValue }
}

public var MAP_FAILED: UnsafeMutableRawPointer { UnsafeMutableRawPointer(bitPattern: -1)! }

public var S_IFMT: mode_t { 0o170000 }
public var S_IFREG: mode_t { 0o100000 }
public var S_IFDIR: mode_t { 0o040000 }

// C's `open` takes two arguments or three. On 64-bit ARM a variable argument travels in the same register as a
// fixed one.
@_silgen_name("open")
private func openFixed(_ path: UnsafePointer<CChar>, _ flags: Int32, _ mode: mode_t) -> Int32

public func open(_ path: UnsafePointer<CChar>, _ flags: Int32) -> Int32 { openFixed(path, flags, 0) }

public func open(_ path: UnsafePointer<CChar>, _ flags: Int32, _ mode: mode_t) -> Int32 {
    openFixed(path, flags, mode)
}

@_silgen_name("pow")
public func pow(_ x: Double, _ y: Double) -> Double
