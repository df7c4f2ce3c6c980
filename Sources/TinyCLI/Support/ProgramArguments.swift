// SPDX-License-Identifier: Apache-2.0

@preconcurrency import TinyPlatform

/// The words of the command line, the program's name first.
///
/// Swift reads them from /proc. Without /proc, as in an empty root directory, those of the initial stack are all there is.
let programArguments: [String] = {
    let usual = CommandLine.arguments, found = argumentsOnTheStack()
    if found.count != usual.count, !usual.isEmpty { return usual }
    return found.map { word($0) }
}()

/// argv, recovered from the initial stack: it is just below envp, preceded by argc.
private func argumentsOnTheStack() -> [UnsafePointer<CChar>] {
    let words = UnsafeRawPointer(environ).assumingMemoryBound(to: UInt.self)
    for count in 0..<65_536 where words[-2 - count] == UInt(count) {
        return (0..<count).map { UnsafePointer<CChar>(bitPattern: words[$0 - 1 - count])! }
    }
    return []
}

/// A word of the command line. One that is not UTF-8 but names a file becomes the kernel's name for that file, since no
/// `String` holds those bytes. (Such a file can be read; it cannot be named as an output.)
private func word(_ bytes: UnsafePointer<CChar>) -> String {
    if let word = String(validatingCString: bytes) { return word }
    let pathOnly: Int32 = 0x20_0000  // O_PATH, which is not imported: without the effects of opening
    let descriptor = open(bytes, pathOnly | O_CLOEXEC)
    return descriptor < 0 ? String(cString: bytes) : "/proc/self/fd/\(descriptor)"
}

/// Replaces the Swift runtime's search for its backtracer in static binaries (`--wrap`, see Examples/Boards/build-static):
/// the search aborts the program where there is no /proc.
@_cdecl("__wrap_swift_copyAuxiliaryExecutablePath")
package func noAuxiliaryExecutable(_ name: UnsafePointer<CChar>?) -> UnsafeMutablePointer<CChar>? { nil }
