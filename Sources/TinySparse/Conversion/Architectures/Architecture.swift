import TinyFormats
import TinySupport

/// An architecture: how its source checkpoints say what a model is, and which of their tensors become ours.
///
/// To add one, write a file like `Llama.swift` and list it in `architectures`. What it computes is data for the runtime
/// (`ModelConfig`): a new kind of layer comes first there, in docs/NUMERICS.md and in the reference implementation.
protocol Architecture: Sendable {
    /// `model_type` in the config.json of a Hugging Face folder, and `general.architecture` in GGUF files.
    var name: String { get }

    /// What config.json says.
    /// - Throws: `FormatError` naming the field.
    func config(_ fields: ConfigFields) throws -> ModelConfig

    /// What the metadata of a GGUF file says.
    /// - Throws: `FormatError` naming the key.
    func config(_ fields: GGUFFields) throws(FormatError) -> ModelConfig

    /// What the names of all tensors but the LM head may start with in a Hugging Face folder, the usual prefix first.
    var prefixes: [String] { get }

    /// The names of tensors in a Hugging Face folder, without prefix, layer, and `.weight` or `.bias`. GGUF files use ours.
    var tensorNames: [TensorRole: String] { get }
}

extension Architecture {
    /// The name of a tensor in a Hugging Face folder.
    func huggingFaceName(_ id: TensorID, prefix: String) -> String {
        let suffix = id.isBias ? ".bias" : ".weight"
        if id.role == .lmHead { return "lm_head" + suffix }
        let layer = id.layer.map { "layers.\($0)." } ?? ""
        return prefix + layer + (tensorNames[id.role] ?? id.role.rawValue) + suffix
    }
}

/// All architectures that can be converted.
let architectures: [any Architecture] = [Llama(), OPT()]

/// The architecture that a checkpoint names.
/// - Throws: `FormatError` naming the field, if it is not one of ours.
func findArchitecture(named name: String, path: String, item: String) throws(FormatError) -> any Architecture {
    if let found = architectures.first(where: { $0.name == name }) { return found }
    throw FormatError(
        .unsupported, path: path, item: item,
        "architecture \"\(printable(name))\" is not supported; supported are "
            + architectures.map { $0.name }.joined(separator: ", "))
}
