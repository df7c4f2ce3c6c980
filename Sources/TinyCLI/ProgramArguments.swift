#if canImport(Glibc)
@preconcurrency import Glibc
#elseif canImport(Musl)
@preconcurrency import Musl
#endif

/// The words of the command line, the program's name first.
///
/// Swift reads them from /proc, which an empty root directory does not have. There they are taken from
/// where the system put them: right below the environment, with their number in front.
let programArguments: [String] = {
    let usual = CommandLine.arguments
    guard usual.isEmpty else { return usual }
    let words = UnsafeRawPointer(environ).assumingMemoryBound(to: UInt.self)
    for count in 0..<65_536 where words[-2 - count] == UInt(count) {
        return (0..<count).map { index in
            String(cString: UnsafePointer<CChar>(bitPattern: words[index - 1 - count])!)
        }
    }
    return []
}()

/// What a static binary is linked with instead of the Swift runtime's search for its backtracer
/// (`--wrap`, see Examples/Boards/build-static): the search ends the program where there is no /proc.
@_cdecl("__wrap_swift_copyAuxiliaryExecutablePath")
package func noAuxiliaryExecutable(_ name: UnsafePointer<CChar>?) -> UnsafeMutablePointer<CChar>? { nil }
