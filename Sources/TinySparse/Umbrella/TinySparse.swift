// SPDX-License-Identifier: Apache-2.0

// The one module that users import: everything it shows is declared in the modules below it.

@_exported import TinyConstraints
@_exported import TinyConversion
@_exported import TinyFormats
@_exported import TinyRuntime
@_exported import TinySupport
@_exported import TinyTemplates
@_exported import TinyTokenizer
