// SPDX-License-Identifier: Apache-2.0

// The regular expressions of llama.cpp's pre-tokenizers, see `NamedPreTokenizer`.

extension NamedPreTokenizer {
    private static let contractions = "'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])"
    private static let spaces = #"|\s*[\r\n]+|\s+(?!\S)|\s+"#
    private static let symbols = #"| ?[^\s\p{L}\p{N}]+[\r\n]*"#
    private static let gpt2 = #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#
    private static let punctuated =
        ##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"##
    private static let kana = #"[\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+"#
    /// Numbers in groups of three, counted from the last; the first group with what is before it, as llama.cpp has it.
    private static let thousands = #"\P{N}*\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))"#

    /// `[^\r\n\p{L}\p{N}]?\p{L}+` with the given numbers among the alternatives, after contractions.
    private static func qwen2(numbers: String) -> String {
        contractions + #"|[^\r\n\p{L}\p{N}]?\p{L}+|"# + numbers + symbols + spaces
    }

    /// Words that change from large to small letters, where both are all letters, or all but the other ASCII ones.
    private static func cased(
        _ upper: String, _ lower: String, ending: String, numbers: String, newlines: String = #"[\r\n/]*"#
    ) -> String {
        let lead = #"[^\r\n\p{L}\p{N}]?"#
        return "\(lead)\(upper)*\(lower)+\(ending)|\(lead)\(upper)+\(lower)*\(ending)|\(numbers)"
            + #"| ?[^\s\p{L}\p{N}]+"# + newlines + spaces
    }

    private static let notSmall = #"[\p{L}&&[^a-z]]"#, notLarge = #"[\p{L}&&[^A-Z]]"#
    private static let lettersAndMarks = #"[\p{L}\p{M}]"#

    /// The expressions of a name, of which each cuts what those before it have left; nil for an unknown name.
    static func expressions(_ name: String) -> [String]? {
        let ending = "(?:\(contractions))?"
        return switch name {
        case "", "default": [#"[\p{P}$+<=>^~|]+"#, gpt2, #"\p{N}+"#, "[0-9][0-9][0-9]"]
        case "falcon": [#"[\p{P}$+<=>^~|`]+"#, gpt2, "[0-9][0-9][0-9]"]
        case "deepseek-llm": deepSeekLLM
        case "deepseek-coder":
            [
                #"[\r\n]"#, #"\s?\p{L}+"#, #"\s?\p{P}+"#, #"[\x{4E00}-\x{9FA5}\x{800}-\x{4E00}\x{AC00}-\x{D7FF}]+"#,
                #"\p{N}"#,
            ]
        case "deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4":
            [#"\p{N}{1,3}"#, kana, punctuated + #"| ?[\p{P}\p{S}]+[\r\n]*"# + spaces]
        case "spark2_5":
            [#"\p{N}{1,3}"#, kana, punctuated + #"| ?[\p{P}\p{S}]+|[\r\n]|\s+(?!\S)|\s+"#, #"\p{N}"#]
        case "youtu":
            [
                #"[\x{AC00}-\x{D7A3}\x{3131}-\x{318E}]+|[\x{FF01}\x{2026}\x{201C}\x{201D}\x{2018}\x{2019}\x{2014}\x{FF1A}\x{FF1B}\x{FF0C}\x{3001}-\x{303F}\x{FE30}-\x{FE4F}]+|[\x{3105}-\x{312F}]+|"#
                    + kana,
                cased(lettersAndMarks, lettersAndMarks, ending: ending, numbers: #"\p{N}"#),
            ]
        case "qwen35":
            [
                contractions + #"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*"# + spaces
            ]
        case "poro-chat", "bloom", "gpt3-finnish":
            [#" ?[^(\s|.,!?\x{2026}\x{3002}\x{FF0C}\x{3001}\x{964}\x{6D4}\x{60C})]+"#]
        case "viking": [#" ?[^(\s|.,!?\x{2026}\x{3002}\x{FF0C}\x{3001}\x{964}\x{6D4}\x{60C})]+"#, #"\p{N}"#]
        case "tekken": [cased(notSmall, notLarge, ending: "", numbers: #"\p{N}"#)]
        case "gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2":
            [cased(notSmall, notLarge, ending: ending, numbers: #"\p{N}{1,3}"#)]
        case "granite-embed-multi-97m":
            [
                cased(
                    #"[[\p{L}\p{M}]&&[^a-z]]"#, #"[[\p{L}\p{M}]&&[^A-Z]]"#, ending: ending, numbers: #"\p{N}{1,3}"#)
            ]
        case "tiny_aya", "cohere2moe":
            [thousands, cased(lettersAndMarks, lettersAndMarks, ending: ending, numbers: #"\p{N}{1,3}"#)]
        case "kimi-k2": [kimi(ending)]
        case "superbpe": [#"\p{N}+"#, #"(?=(\d{3})+(?!\d))"#]
        case "bailingmoe", "bailingmoe2", "llada-moe":
            [
                "'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])"
                    + #"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"# + symbols + #"|\s*[\r\n]|\s+(?!\S)|\s+"#
            ]
        case "seed-coder":
            [contractions + #"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}\r\n]+"# + spaces]
        case "ufakzeka": [#"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"# + symbols + spaces]
        case "afmoe":
            [
                thousands,
                #"[\x{4E00}-\x{9FFF}\x{3400}-\x{4DBF}\x{8C48}-\x{FAFF}\x{3040}-\x{309F}\x{30A0}-\x{30FF}\x{FF65}-\x{FF9F}\x{2F00}-\x{2FDF}\x{E40}-\x{E7F}\x{E80}-\x{EFF}\x{1780}-\x{17FF}\x{1000}-\x{109F}\x{AA60}-\x{AA7F}\x{A9E0}-\x{A9FF}\x{AC00}-\x{D7AF}\x{1100}-\x{11FF}]+"#,
                punctuated + #"| ?[\p{P}\p{S}]+[\r\n]*"# + spaces,
            ]
        case "laguna": [#"[^\n]+|\n+"#, qwen2(numbers: #"\p{N}"#)]
        case "exaone-moe":
            [
                contractions + #"|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}"#
                    + #"| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"#
            ]
        case "jais-2":
            // In one expression with lookaheads the lengths of white space would need thousands of states.
            [
                contractions + #"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"# + symbols + spaces,
                #"\s*[\S\r\n][\s\S]*"# + [512, 256, 128, 64, 32, 16, 8, 4].map { #"|\s{\#($0)}"# }.joined()
                    + #"|\s{1,2}"#,
            ]
        case "minicpm5": [#"\p{N}{1,3}"#, qwen2(numbers: #"\p{N}+"#)]
        case "chameleon":
            [
                "<sentinel:[0-9]+>", "(?:IMGIMG)[A-I]{1,4}Z", #"[\t\n]|    |  "#, #"\p{N}"#,
                #"[\p{P}!-/:-@\[-`{-~]"#, gpt2,
            ]
        default: nil
        }
    }

    private static let deepSeekLLM: [String] = {
        let letters =
            #"A-Za-z\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA}\x{1BC}-\x{1BF}\x{1C4}-\x{293}\x{295}-\x{2AF}\x{370}-\x{373}\x{376}\x{377}\x{37B}-\x{37D}\x{37F}\x{386}\x{388}-\x{38A}\x{38C}\x{38E}-\x{3A1}\x{3A3}-\x{3F5}\x{3F7}-\x{481}\x{48A}-\x{52F}\x{531}-\x{556}\x{10A0}-\x{10C5}\x{13A0}-\x{13F5}\x{13F8}-\x{13FD}\x{1C90}-\x{1CBA}\x{1CBD}-\x{1CBF}\x{1D00}-\x{1D2B}\x{1D6B}-\x{1D77}\x{1D79}-\x{1D9A}\x{1E00}-\x{1F15}\x{1F18}-\x{1F1D}\x{1F20}-\x{1F45}\x{1F48}-\x{1F4D}\x{1F50}-\x{1F57}\x{1F59}\x{1F5B}\x{1F5D}\x{1F5F}-\x{1F7D}\x{1F80}-\x{1FB4}\x{1FB6}-\x{1FBC}\x{1FBE}\x{1FC2}-\x{1FC4}\x{1FC6}-\x{1FCC}"#
            + #"\x{1FD0}-\x{1FD3}\x{1FD6}-\x{1FDB}\x{1FE0}-\x{1FEC}\x{1FF2}-\x{1FF4}\x{1FF6}-\x{1FFC}\x{2102}\x{2107}\x{210A}-\x{2113}\x{2115}\x{2119}-\x{211D}\x{2124}\x{2126}\x{2128}\x{212A}-\x{212D}\x{212F}-\x{2134}\x{2139}\x{213C}-\x{213F}\x{2145}-\x{2149}\x{214E}\x{2183}\x{2184}\x{2C00}-\x{2C7B}\x{2C7E}-\x{2CE4}\x{2CEB}-\x{2CEE}\x{2CF2}\x{2CF3}\x{A640}-\x{A66D}\x{A680}-\x{A69B}\x{A722}-\x{A76F}\x{A771}-\x{A787}\x{A78B}-\x{A78E}\x{AB70}-\x{ABBF}\x{FB00}-\x{FB06}\x{FB13}-\x{FB17}"#
            + #"\x{FF21}-\x{FF3A}\x{FF41}-\x{FF5A}\x{10400}-\x{1044F}\x{104B0}-\x{104D3}\x{104D8}-\x{104FB}\x{10C80}-\x{10CB2}\x{10CC0}-\x{10CF2}\x{118A0}-\x{118DF}\x{1E900}-\x{1E943}"#
        return [
            #"[\r\n]"#, #"\s?["# + letters + "]+",
            #"\s?[!-/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3000}-\x{3002}]+"#, #"\s+$"#,
            #"[\x{4E00}-\x{9FA5}\x{800}-\x{4E00}\x{AC00}-\x{D7FF}]+"#, #"\p{N}+"#,
        ]
    }()

    /// Words without the characters of a script, which are words of their own.
    private static func kimi(_ ending: String) -> String {
        let han =
            #"\x{3400}-\x{4DBF}\x{4E00}-\x{9FFF}\x{F900}-\x{FAFF}\x{20000}-\x{2A6DF}\x{2A700}-\x{2EBEF}\x{2F800}-\x{2FA1F}"#
        return "[\(han)]+|" + #"[^\r\n\p{L}\p{N}]?[\p{L}&&[^"# + han + "]]+" + ending + #"|\p{N}{1,3}"# + symbols
            + spaces
    }
}
