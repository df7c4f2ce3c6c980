// SPDX-License-Identifier: Apache-2.0

/// A program in Jinja's language, as chat templates are, ready to run. docs/TEMPLATES.md says what it can do.
package struct Template: Sendable {
    private let body: Body
    private let hidden: [[String]]

    /// Parses a template. Linear in the size of its source.
    /// - Throws: `TemplateError` for what is no template, and for tags, filters and tests that do not exist.
    package init(_ source: String) throws(TemplateError) { (body, hidden) = try Parser.parse(source) }

    /// Runs the template.
    /// - Parameter variables: what the template can see; a later one hides an earlier one of the same name.
    /// - Throws: `TemplateError`.
    package func render(
        _ variables: [(name: String, value: Value)], time: TemplateTime, limits: TemplateLimits = .init()
    ) throws(TemplateError) -> RenderedText {
        let interpreter = Interpreter(variables: variables, hidden: hidden, limits: limits, time: time)
        return RenderedText(try interpreter.render(body))
    }
}

/// What a template writes.
package struct RenderedText: Equatable, Sendable {
    /// The text in UTF-8.
    package let bytes: [UInt8]
    /// The parts of it that are the template's own and not from its inputs: sorted, and apart from each other.
    package let own: [Range<Int>]

    init(_ scalars: [Scalar]) {
        var bytes: [UInt8] = []
        var own: [Range<Int>] = []
        bytes.reserveCapacity(scalars.count)
        for scalar in scalars {
            let start = bytes.count
            if let scalar = Unicode.Scalar(scalar.code), let encoded = UTF8.encode(scalar) { bytes += encoded }
            guard !scalar.isInput else { continue }
            if let last = own.last, last.upperBound == start {
                own[own.count - 1] = last.lowerBound..<bytes.count
            } else {
                own.append(start..<bytes.count)
            }
        }
        self.bytes = bytes
        self.own = own
    }

    package var text: String { String(decoding: bytes, as: UTF8.self) }
}
