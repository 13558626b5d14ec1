//! The stage in Rust: how often each document uses each term, and how much a term says about it.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use thornback::{Ref, Tensor, get_all};

/// Terms that tell documents apart; more would be noise to a few dozen of them.
const TERMS_MAX: usize = 400;

/// A document as the stage before gives it.
#[derive(Serialize, Deserialize)]
pub struct Page {
    title: String,
    words: Vec<String>,
}

/// What is left of a document.
#[derive(Serialize, Deserialize)]
pub struct Counted {
    title: String,
    words: usize,
    counts: BTreeMap<String, u32>,
}

/// All documents: a row of weights for each title, a column for each term.
#[derive(Serialize, Deserialize)]
pub struct Scores {
    titles: Vec<String>,
    words: Vec<usize>,
    terms: Vec<String>,
    weights: Tensor,
}

#[thornback::task(name = "terms.count")]
pub async fn count(page: Page) -> Counted {
    let mut counts = BTreeMap::new();
    for word in &page.words {
        *counts.entry(word.clone()).or_insert(0) += 1;
    }
    Counted { title: page.title, words: page.words.len(), counts }
}

/// Weighs each term by its frequency in a document and its rarity among all of them (tf-idf: Spärck Jones, 1972), each row of length 1.
#[thornback::task(name = "terms.score")]
pub async fn score(documents: Vec<Ref<Counted>>) -> thornback::Result<Scores> {
    let documents = get_all(&documents).await?;
    let terms = vocabulary(&documents);
    let mut weights = Vec::with_capacity(documents.len() * terms.len());
    for document in &documents {
        let row: Vec<f32> = terms
            .iter()
            .map(|(term, rarity)| {
                document.counts.get(term).map_or(0.0, |&count| (1.0 + (count as f32).ln()) * rarity)
            })
            .collect();
        let length = row.iter().map(|weight| weight * weight).sum::<f32>().sqrt();
        weights.extend(row.iter().map(|weight| if length > 0.0 { weight / length } else { 0.0 }));
    }
    let weights = Tensor::from_vec(weights, &[documents.len() as u64, terms.len() as u64])
        .expect("there is a weight for each document and term");
    Ok(Scores {
        words: documents.iter().map(|document| document.words).collect(),
        titles: documents.into_iter().map(|document| document.title).collect(),
        terms: terms.into_iter().map(|(term, _)| term).collect(),
        weights,
    })
}

/// The terms that stand in more than one document and not in most, those used most often first, with their rarity.
fn vocabulary(documents: &[Counted]) -> Vec<(String, f32)> {
    let mut used: HashMap<&str, (u32, u32)> = HashMap::new();
    for document in documents {
        for (term, count) in &document.counts {
            let (documents, times) = used.entry(term).or_default();
            *documents += 1;
            *times += count;
        }
    }
    let all = documents.len() as f32;
    let mut terms: Vec<_> = used
        .into_iter()
        .filter(|(_, (documents, _))| *documents > 1 && (*documents as f32) <= 0.6 * all)
        .collect();
    terms.sort_unstable_by_key(|(term, (_, times))| (std::cmp::Reverse(*times), *term));
    terms.truncate(TERMS_MAX);
    terms.into_iter().map(|(term, (documents, _))| (term.to_owned(), (all / documents as f32).ln())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(text: &str) -> Counted {
        let mut counts = BTreeMap::new();
        for word in text.split(' ') {
            *counts.entry(word.to_owned()).or_insert(0) += 1;
        }
        Counted { title: String::new(), words: text.split(' ').count(), counts }
    }

    #[test]
    fn words_of_one_document_and_words_of_all_say_nothing() {
        let documents = ["the ray swims", "the ray is a fish", "the sun", "the moon"].map(counted);
        let terms = vocabulary(&documents);
        assert_eq!(terms, [("ray".to_owned(), 2_f32.ln())]);
    }
}
