//! Problems of configuration files, shown as a compiler would.

use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use vaquita_config::{ClusterFiles, Diagnostic, Label, Severity};

/// The problem with its line, a mark under the offending text, its help, and the other places that
/// belong to it.
pub(super) fn render(diagnostic: &Diagnostic, files: &ClusterFiles, colours: bool) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = Group::with_title(
        level
            .primary_title(diagnostic.message.as_str())
            .id(diagnostic.code),
    );
    let text = diagnostic.text.as_str();
    let marked = marked(text, diagnostic.column, diagnostic.span.len());
    group = group.element(
        Snippet::source(text)
            .line_start(diagnostic.line)
            .path(diagnostic.file.as_str())
            .annotation(AnnotationKind::Primary.span(marked)),
    );
    for label in &diagnostic.related {
        group = group.element(related(label, files));
    }
    group = group.element(Level::HELP.message(diagnostic.help.as_str()));
    let renderer = if colours {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    renderer.decor_style(DecorStyle::Ascii).render(&[group])
}

/// A related place, with its line where the file was read.
fn related<'a>(
    label: &'a Label,
    files: &'a ClusterFiles,
) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    let text = line(files, &label.place.file, label.place.line).unwrap_or_default();
    let marked = marked(text, label.place.column, label.span.len());
    Snippet::source(text)
        .line_start(label.place.line)
        .path(label.place.file.as_str())
        .annotation(
            AnnotationKind::Context
                .span(marked)
                .label(label.message.as_str()),
        )
}

fn line<'a>(files: &'a ClusterFiles, name: &str, number: usize) -> Option<&'a str> {
    let key_value = files
        .controller
        .iter()
        .chain(&files.cluster)
        .chain(&files.agents)
        .chain(&files.single)
        .map(|parsed| &parsed.document);
    files
        .nodes
        .iter()
        .map(|parsed| &parsed.document)
        .chain(key_value)
        .find(|document| document.name() == name)?
        .line_text(number)
}

/// The bytes of `text` from a column (in characters, from 1) on, so many of them as there are and
/// whole characters only.
fn marked(text: &str, column: usize, len: usize) -> Range<usize> {
    let start = text
        .char_indices()
        .nth(column.saturating_sub(1))
        .map_or(text.len(), |(index, _)| index);
    let mut end = start.saturating_add(len).min(text.len());
    while !text.is_char_boundary(end) {
        end += 1;
    }
    start..end
}

#[cfg(test)]
mod tests;
