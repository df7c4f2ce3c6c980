// SPDX-License-Identifier: Apache-2.0

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

// C's `open` takes two arguments or three, `ioctl` any. On 64-bit ARM a variable argument travels in the same register as a
// fixed one.
@_silgen_name("open")
private func openFixed(_ path: UnsafePointer<CChar>, _ flags: Int32, _ mode: mode_t) -> Int32

public func open(_ path: UnsafePointer<CChar>, _ flags: Int32) -> Int32 { openFixed(path, flags, 0) }

public func open(_ path: UnsafePointer<CChar>, _ flags: Int32, _ mode: mode_t) -> Int32 {
    openFixed(path, flags, mode)
}

@_silgen_name("ioctl")
public func ioctl(_ descriptor: Int32, _ request: UInt, _ argument: UnsafeMutableRawPointer) -> Int32

@_silgen_name("pow")
public func pow(_ x: Double, _ y: Double) -> Double

@_silgen_name("log")
public func log(_ x: Double) -> Double

@_silgen_name("log10")
public func log10(_ x: Double) -> Double

@_silgen_name("getrusage")
private func usage(_ who: Int32, _ usage: UnsafeMutablePointer<rusage>) -> Int32

public func getrusage(_ who: Int32, _ result: UnsafeMutablePointer<rusage>) -> Int32 { usage(who, result) }

// What the standard library parses numbers with; nothing here ever sets another locale than C's.
@_cdecl("_swift_stdlib_strtod_clocale")
public func parseDouble(_ text: UnsafePointer<CChar>, _ result: UnsafeMutablePointer<Double>) -> UnsafePointer<CChar>? {
    var end: UnsafeMutablePointer<CChar>?
    result.pointee = strtod(text, &end)
    return UnsafePointer(end)
}

@_cdecl("_swift_stdlib_strtof_clocale")
public func parseFloat(_ text: UnsafePointer<CChar>, _ result: UnsafeMutablePointer<Float>) -> UnsafePointer<CChar>? {
    var end: UnsafeMutablePointer<CChar>?
    result.pointee = strtof(text, &end)
    return UnsafePointer(end)
}
