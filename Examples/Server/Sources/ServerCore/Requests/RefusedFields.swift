// SPDX-License-Identifier: Apache-2.0

import TinySparse

/// Members of OpenAI's requests that would change the answer and that this server does not have: they are refused by name
/// rather than ignored, unless they have a value that asks for nothing. Members that change nothing of the text (`user`,
/// `metadata`, `store`, ...) and names that nobody knows are ignored, as OpenAI's server ignores them.
struct RefusedField {
    let name: String
    /// Values that ask for nothing.
    let harmless: @Sendable (JSON) -> Bool
    /// What to do instead.
    let advice: String

    static let all: [RefusedField] = [
        RefusedField(
            name: "tools", harmless: isEmpty, advice: "describe the tools in the system message and use response_format"
        ),
        RefusedField(name: "functions", harmless: isEmpty, advice: "use response_format"),
        RefusedField(name: "tool_choice", harmless: { ["none", "auto"].contains($0.string) }, advice: "leave it out"),
        RefusedField(
            name: "function_call", harmless: { ["none", "auto"].contains($0.string) }, advice: "leave it out"),
        RefusedField(name: "logit_bias", harmless: isEmpty, advice: "use a grammar or regex to exclude texts"),
        RefusedField(name: "frequency_penalty", harmless: isZero, advice: "use repeat_penalty"),
        RefusedField(name: "presence_penalty", harmless: isZero, advice: "use repeat_penalty"),
        RefusedField(name: "audio", harmless: { _ in false }, advice: "leave it out"),
        RefusedField(
            name: "modalities", harmless: { $0.array?.allSatisfy { $0.string == "text" } ?? false },
            advice: "text is all there is"),
        RefusedField(name: "prediction", harmless: { _ in false }, advice: "leave it out"),
        RefusedField(name: "web_search_options", harmless: { _ in false }, advice: "leave it out"),
        RefusedField(name: "reasoning_effort", harmless: { _ in false }, advice: "use chat_template_kwargs"),
        RefusedField(name: "verbosity", harmless: { _ in false }, advice: "leave it out"),
        RefusedField(name: "suffix", harmless: { $0.string == "" }, advice: "put everything into the prompt"),
        RefusedField(name: "echo", harmless: { $0.bool == false }, advice: "put the prompt before the text yourself"),
    ]

    private static func isEmpty(_ value: JSON) -> Bool { value.array?.isEmpty ?? value.object?.isEmpty ?? false }
    private static func isZero(_ value: JSON) -> Bool { value.double == 0 }

    /// - Throws: `APIError` with the name of the first that asks for something.
    static func check(_ fields: Fields) throws(APIError) {
        for field in all {
            guard let value = fields[field.name], !field.harmless(value) else { continue }
            throw fields.wrong(field.name, "not supported here; \(field.advice)", code: "unsupported_parameter")
        }
    }
}
